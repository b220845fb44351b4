"""What the manifests say of the server is so. Reads the files; needs no tool of Kubernetes."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from fastapi import FastAPI
from kustomized import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    all_objects,
    files,
    pod_specs,
    read_objects,
    settings_of,
    strings,
)

from service.__main__ import LAST_ANSWERS_S
from service.configuration.settings import PREFIX, Settings, variable_of
from service.configuration.sources import OTHER_VARIABLES, read_settings
from service.engine import Engine
from service.http.info_routes import InfoRoutes
from service.keyring import Keyring
from service.watch.metrics import Metrics

ROOT = K8S.parent
SERVER_PODS = [
    spec
    for item in all_objects()
    for spec in pod_specs(item)
    if spec["containers"][0].get("image") == "blendmask-server"
]


def _prefixed(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith(PREFIX)}


def _settings(overlay: Path) -> Settings:
    return read_settings({}, _prefixed(settings_of(overlay))).settings


def _file(*parts: str) -> dict[str, Any]:
    (item,) = read_objects(K8S.joinpath(*parts).read_text())
    return item


def _queries() -> list[str]:
    """Every text that is asked of Prometheus."""
    asked = [text for item in all_objects() for text in strings(item)]
    return [text for text in asked if re.search(r"\bblendmask_[a-z_]+\{|\bblendmask_\w+$", text)]


def _served_metrics() -> set[str]:
    text = Metrics().render().decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_the_server_understands_the_settings_of_an_overlay(overlay: Path) -> None:
    settings = _settings(overlay)
    assert settings.host == "0.0.0.0"
    assert settings.log_format == "json"


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.name)
def test_the_settings_of_a_component_have_names_that_the_server_knows(component: Path) -> None:
    known = {variable_of(name) for name in Settings.model_fields} | set(OTHER_VARIABLES)
    assert set(_prefixed(settings_of(component))) <= known


def test_there_are_two_kinds_of_server_pods() -> None:
    assert len(SERVER_PODS) == 2  # the Deployment's and KServe's: what follows looks at both


@pytest.mark.parametrize("pod", SERVER_PODS, ids=["deployment", "kserve"])
class TestServerPod:
    def test_probes_ask_routes_that_the_server_has(self, pod: dict[str, Any]) -> None:
        app = FastAPI(openapi_url=None)
        InfoRoutes(Settings(), cast(Engine, None), Metrics()).add_to(app)
        served = {getattr(route, "path", None) for route in app.routes}
        container = pod["containers"][0]
        asked = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
        assert asked == {
            "startupProbe": "/readyz",
            "readinessProbe": "/readyz",
            "livenessProbe": "/healthz",
        }
        assert set(asked.values()) <= served

    def test_probes_and_ports_agree(self, pod: dict[str, Any]) -> None:
        container = pod["containers"][0]
        (port,) = container["ports"]
        assert port["containerPort"] == _settings(K8S / "base").port
        for name in container:
            if "Probe" in name:
                assert container[name]["httpGet"]["port"] in (port["name"], port["containerPort"])

    def test_the_grace_period_covers_the_drain(self, pod: dict[str, Any]) -> None:
        settings = _settings(K8S / "base")
        drain_s = settings.grace_s + settings.deadline_s + LAST_ANSWERS_S
        assert pod["terminationGracePeriodSeconds"] >= drain_s + 10  # and the workers' end

    def test_a_start_may_take_as_long_as_the_server_lets_it(self, pod: dict[str, Any]) -> None:
        probe = pod["containers"][0]["startupProbe"]
        waits_s = probe["periodSeconds"] * probe["failureThreshold"]
        assert waits_s >= _settings(K8S / "base").load_timeout_s + 30

    def test_what_the_server_writes_to_is_a_volume(self, pod: dict[str, Any]) -> None:
        mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        variables = settings_of(K8S / "base")
        for name in ("BLENDMASK_CACHE", "HF_HOME"):
            assert any(Path(variables[name]).is_relative_to(mount) for mount in mounts)

    def test_waiting_pictures_fit_in_the_memory_limit(self, pod: dict[str, Any]) -> None:
        limit = pod["containers"][0]["resources"]["limits"]["memory"]
        assert limit.endswith("Gi")
        arena = _settings(K8S / "base").max_waiting_bytes
        assert int(limit.removesuffix("Gi")) * 2**30 >= 3 * arena


def test_a_rollout_is_not_given_up_before_a_slow_start() -> None:
    spec = _file("base", "deployment.yaml")["spec"]
    probe = spec["template"]["spec"]["containers"][0]["startupProbe"]
    assert spec["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


def test_a_rollout_takes_no_pod_away_before_another_is_ready() -> None:
    strategy = _file("base", "deployment.yaml")["spec"]["strategy"]
    assert strategy["rollingUpdate"]["maxUnavailable"] == 0
    assert strategy["rollingUpdate"]["maxSurge"] >= 1


def test_the_network_policy_lets_clients_reach_the_port() -> None:
    port = _settings(K8S / "base").port
    for rule in _file("base", "network-policy.yaml")["spec"]["ingress"]:
        assert [each["port"] for each in rule["ports"]] == [port]


def test_queries_name_metrics_that_the_server_tells() -> None:
    queries = _queries()
    assert len(queries) > 10
    asked = {name for text in queries for name in re.findall(r"\bblendmask_[a-z_]+", text)}
    known = _served_metrics()
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}
    derived = {"blendmask_device_busy_ratio"}  # made by the adapter's rule
    assert asked - known == derived


def test_the_adapter_makes_every_metric_of_the_autoscaler() -> None:
    autoscaler = _file("components", "hpa", "horizontal-pod-autoscaler.yaml")
    wanted = {metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"]}
    rules = _file("components", "hpa", "adapter-values.yaml")["rules"]["custom"]
    made = {rule.get("name", {}).get("as") or rule["seriesQuery"].split("{")[0] for rule in rules}
    assert wanted == made


def test_queries_look_into_the_namespace_that_is_deployed_to() -> None:
    named = {match for text in _queries() for match in re.findall(r'namespace="(\w+)"', text)}
    assert named == {"blendmask"}
    for overlay in OVERLAYS:
        written = yaml.safe_load((overlay / "kustomization.yaml").read_text())
        assert written["namespace"] == "blendmask"


def test_the_prometheus_rule_is_made_from_the_rules_of_prometheus() -> None:
    sys.path.insert(0, str(K8S))
    try:
        from make_rules import prometheus_rule
    finally:
        sys.path.remove(str(K8S))
    written = _file("components", "monitoring", "prometheus-rule.yaml")
    assert written["spec"]["groups"]
    assert written == prometheus_rule(), "run `python k8s/make_rules.py`"


def test_images_are_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = [
        image["newTag"]
        for path in files()
        if path.name == "kustomization.yaml"
        for image in yaml.safe_load(path.read_text()).get("images", [])
    ]
    assert len(tags) == 5
    assert set(tags) == {f"{version}-cpu", f"{version}-cuda"}


def test_the_template_of_keys_opens_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(_file("components", "keys", "secret.template.yaml")["stringData"]["keys"])
    with pytest.raises(ValueError, match="holds no key"):
        Keyring(keys_file=keys)


def test_the_keys_are_where_the_setting_looks_for_them() -> None:
    (path,) = _prefixed(settings_of(K8S / "components" / "keys")).values()
    pod = _file("components", "keys", "keys.yaml")["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    (member,) = _file("components", "keys", "secret.template.yaml")["stringData"]
    assert path == f"{mount['mountPath']}/{member}"


def test_the_device_plugin_offers_what_the_overlays_ask_for() -> None:
    slices = yaml.safe_load(_file("device-plugin", "time-slicing.yaml")["data"]["four"])
    (resource,) = slices["sharing"]["timeSlicing"]["resources"]
    assert slices["sharing"]["timeSlicing"]["renameByDefault"] is True
    asked = (K8S / "overlays" / "gpu-timeslicing" / "kustomization.yaml").read_text()
    assert f"{resource['name']}.shared".replace("/", "~1") in asked

    mixed = yaml.safe_load(_file("device-plugin", "mig.yaml")["data"]["mixed"])
    assert mixed["flags"]["migStrategy"] == "mixed"  # or there would be no names of profiles
    asked = (K8S / "overlays" / "gpu-mig" / "kustomization.yaml").read_text()
    assert "nvidia.com~1mig-1g.10gb" in asked


def test_training_has_room_in_shared_memory() -> None:
    pods = [
        spec
        for folder in ("trainjob", "pytorchjob")
        for path in sorted((K8S / "training" / folder).glob("*.yaml"))
        for item in read_objects(path.read_text())
        for spec in pod_specs(item)
    ]
    assert len(pods) == 3  # a runtime's nodes; a master and a worker
    for pod in pods:
        (volume,) = (each for each in pod["volumes"] if each["name"] == "shm")
        assert volume["emptyDir"]["medium"] == "Memory"
        mounts = {each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
        assert {"/dev/shm", "/tmp"} <= mounts


def test_training_is_started_with_flags_that_it_has() -> None:
    from model.train.arguments import parse_arguments

    runs = [
        part["args"]
        for item in all_objects()
        for part in _with_args(item)
        if part.get("command") == ["torchrun", "-m", "model.train"]
    ]
    assert len(runs) == 3
    for arguments in runs:
        assert parse_arguments(arguments).resume


def _with_args(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for member in value for found in _with_args(member)]
    if not isinstance(value, dict):
        return []
    return [value] * ("args" in value) + _with_args(list(value.values()))
