"""What kustomize renders is valid, strictly, and passes a policy scanner (make k8s-test)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kustomized import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    TRAINING,
    Object,
    built,
    pod_specs,
    read_objects,
    with_components,
)

pytestmark = pytest.mark.k8s

HERE = Path(__file__).parent
# The oldest Kubernetes that the manifests are for, and the newest that kubernetes-validate knows.
VERSIONS = ("1.28", "1.37")

# Folders that kustomize renders: as they are, each component alone, and all that go together.
TOGETHER = ("keys", "monitoring", "keda", "no-egress", "weights-claim")
BUILDS: dict[str, tuple[Path, tuple[Path, ...]]] = {
    **{f"overlays-{path.name}": (path, ()) for path in OVERLAYS},
    **{f"training-{path.name}": (path, ()) for path in TRAINING},
    **{f"cpu-with-{path.name}": (K8S / "overlays" / "cpu", (path,)) for path in COMPONENTS},
    "kserve-with-no-egress": (
        K8S / "overlays" / "kserve",
        (K8S / "components" / "no-egress",),
    ),
    "gpu-with-all": (
        K8S / "overlays" / "gpu",
        tuple(K8S / "components" / name for name in TOGETHER),
    ),
}
# Files that no kustomization takes in.
LOOSE = (
    K8S / "device-plugin" / "time-slicing.yaml",
    K8S / "device-plugin" / "mig.yaml",
    K8S / "components" / "keys" / "secret.template.yaml",
)


def _tool(name: str) -> str:
    return str(Path(os.environ["K8S_TOOLS"]) / "bin" / name)


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    subprocess.run([_tool("python"), HERE / "crd_schemas.py", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("builds")
    return {
        name: built(with_components(folder / name, overlay, added) if added else overlay)
        for name, (overlay, added) in BUILDS.items()
    }


def _judged(text: str, schemas: Path, version: str) -> list[str]:
    """Return what the validator says: faults, then the number of objects."""
    command = [_tool("python"), str(HERE / "validate.py"), str(schemas), version]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _made(objects: Sequence[Object]) -> Iterator[Object]:
    """Return what other controllers make of custom resources, about: a Pod, or a Job that ends."""
    # What KServe adds to a pod's members.
    added = {"labels", "minReplicas", "maxReplicas", "autoScaling", "deploymentStrategy", "timeout"}
    for item in objects:
        if item["apiVersion"] in ("v1", "apps/v1"):
            continue
        for number, written in enumerate(pod_specs(item)):
            spec = {name: value for name, value in written.items() if name not in added}
            metadata = {
                "name": f"{item['metadata']['name']}-{number}",
                "namespace": "blendmask",
                "labels": item["metadata"]["labels"],
            }
            if item["kind"] == "InferenceService":
                yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            else:
                spec["restartPolicy"] = "OnFailure"
                template = {"metadata": {"labels": metadata["labels"]}, "spec": spec}
                yield {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": metadata,
                    "spec": {"template": template},
                }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BUILDS)
def test_objects_are_valid(
    name: str, version: str, rendered: dict[str, str], schemas: Path
) -> None:
    objects = read_objects(rendered[name])
    made = list(_made(objects))
    text = yaml.safe_dump_all([*objects, *made])
    assert _judged(text, schemas, version) == [f"{len(objects) + len(made)} judged"]


@pytest.mark.parametrize("path", LOOSE, ids=lambda path: path.stem)
def test_files_beside_the_overlays_are_valid(path: Path, schemas: Path) -> None:
    assert _judged(path.read_text(), schemas, VERSIONS[-1]) == ["1 judged"]


def test_no_file_is_left_out(rendered: dict[str, str]) -> None:
    kinds = {item["kind"] for text in rendered.values() for item in read_objects(text)}
    in_files = {
        item["kind"]
        for path in K8S.rglob("*.yaml")
        for item in read_objects(path.read_text())
        if isinstance(item, dict) and "kind" in item
    }
    assert in_files - kinds == {"Kustomization", "Component", "Secret"}


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("base/deployment.yaml", "failureThreshold", "failureTreshold"),
        ("base/service.yaml", "v1", "v2"),
        ("base/network-policy.yaml", "NetworkPolicy", "NetPolicy"),
        ("components/keda/scaled-object.yaml", "pollingInterval", "polingInterval"),
        ("components/monitoring/service-monitor.yaml", "interval", "every"),
        ("components/monitoring/prometheus-rule.yaml", "expr:", "expression:"),
        ("overlays/kserve/inference-service.yaml", "minReplicas", "minReplica"),
        ("overlays/kserve/inference-service.yaml", "mountPath", "path"),
        ("training/trainjob/train-job.yaml", "numNodes", "nodes"),
        ("training/trainjob/training-runtime.yaml", "sizeLimit", "limit"),
        ("training/pytorchjob/pytorch-job.yaml", "mountPath", "path"),
    ],
)
def test_a_slip_is_a_fault(file: str, right: str, wrong: str, schemas: Path) -> None:
    text = (K8S / file).read_text()
    assert right in text
    *faults, _ = _judged(text.replace(right, wrong), schemas, VERSIONS[-1])
    assert faults


def test_a_component_for_autoscaling_leaves_the_number_of_pods_alone(
    rendered: dict[str, str],
) -> None:
    for name in ("cpu-with-hpa", "cpu-with-keda"):
        (deployment,) = (
            item for item in read_objects(rendered[name]) if item["kind"] == "Deployment"
        )
        assert "replicas" not in deployment["spec"]


def test_no_egress_forbids_all(rendered: dict[str, str]) -> None:
    (policy,) = (
        item
        for item in read_objects(rendered["cpu-with-no-egress"])
        if item["kind"] == "NetworkPolicy"
    )
    assert policy["spec"]["egress"] == []
    assert "Egress" in policy["spec"]["policyTypes"]


def test_kserve_reads_the_settings_that_were_generated(rendered: dict[str, str]) -> None:
    objects = {item["kind"]: item for item in read_objects(rendered["overlays-kserve"])}
    container = objects["InferenceService"]["spec"]["predictor"]["containers"][0]
    generated = objects["ConfigMap"]["metadata"]["name"]
    assert container["envFrom"] == [{"configMapRef": {"name": generated}}]
    assert not {"Deployment", "Service"} & objects.keys()


@pytest.fixture(scope="session")
def findings(rendered: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("policies")
    for name, text in rendered.items():
        objects = read_objects(text)
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump_all([*objects, *_made(objects)], sort_keys=False)
        )
    command = [_tool("checkov"), "--directory", str(folder), "--framework", "kubernetes"]
    command += ["--skip-download", "--output", "json", "--quiet", "--soft-fail"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_policies_are_kept_or_the_exception_argued(findings: dict[str, Any]) -> None:
    argued = yaml.safe_load((K8S / ".checkov.yaml").read_text())["skip-check"]
    failed: dict[str, set[str]] = {}
    for each in findings["results"]["failed_checks"]:
        where = f"{Path(each['file_path']).stem} {each['resource']}"
        failed.setdefault(each["check_id"], set()).add(where)
    assert {name: where for name, where in failed.items() if name not in argued} == {}
    assert set(argued) <= failed.keys(), "an argued exception is not needed any more"
    assert findings["summary"]["passed"] > 1000
    assert findings["summary"]["parsing_errors"] == 0
