"""Writes strict JSON schemas of the custom resources that k8s/ uses.

Runs where requirements.txt and requirements-no-deps.txt are installed:
`python crd_schemas.py FOLDER` leaves `FOLDER/<group>_<version>_<Kind>.json` each. What a schema
does not name is refused, which a cluster would drop in silence.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

# Where kubernetes-validate keeps Kubernetes' own types; validate.py knows them by this address.
KUBERNETES = "https://kubernetes.io/api/_definitions.json#/$defs/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"

PYDANTIC = {
    "keda.sh_v1alpha1_ScaledObject": "cloudcoil.models.keda.v1alpha1:ScaledObject",
    "monitoring.coreos.com_v1_ServiceMonitor": (
        "cloudcoil.models.prometheus_operator.v1:ServiceMonitor"
    ),
    "monitoring.coreos.com_v1_PrometheusRule": (
        "cloudcoil.models.prometheus_operator.v1:PrometheusRule"
    ),
    "trainer.kubeflow.org_v1alpha1_TrainJob": (
        "kubeflow_trainer_api.models:TrainerV1alpha1TrainJob"
    ),
    "trainer.kubeflow.org_v1alpha1_TrainingRuntime": (
        "kubeflow_trainer_api.models:TrainerV1alpha1TrainingRuntime"
    ),
}
# Generated clients: package, folder of its models, class.
CLIENTS = {
    "serving.kserve.io_v1beta1_InferenceService": (
        "kserve",
        "kserve/models",
        "V1beta1InferenceService",
    ),
    "kubeflow.org_v1_PyTorchJob": (
        "kubeflow-training",
        "kubeflow/training/models",
        "KubeflowOrgV1PyTorchJob",
    ),
}
_SIMPLE: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "object": {},
    "datetime": {"type": "string"},
    "ResourceQuantity": {"$ref": KUBERNETES + _QUANTITY},
    "V1beta1MetricQuantity": {"$ref": KUBERNETES + _QUANTITY},
    "V1ObjectMeta": {"$ref": KUBERNETES + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
}


def strict(schema: Any) -> Any:
    """Return a schema that refuses unknown members and nulls, wherever members are named."""
    if isinstance(schema, list):
        return [strict(member) for member in schema if member != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    kept = {name: strict(member) for name, member in schema.items() if name != "default"}
    if isinstance(kept.get("properties"), dict) and kept.get("type") == "object":
        kept["additionalProperties"] = False
    return kept


def from_pydantic(where: str) -> Schema:
    """Return the schema of a pydantic model; `where` is "module:Class"."""
    module, name = where.split(":")
    model = getattr(importlib.import_module(module), name)
    schema: Schema = strict(model.model_json_schema(by_alias=True))
    # The generator writes what is a string or a number as an object.
    for name, definition in schema["$defs"].items():
        if name.endswith(("ResourceQuantity", "IntOrString")):
            definition.clear()
            definition["type"] = ["string", "number"]
    return schema


def from_client(package: str, folder: str, name: str) -> Schema:
    """Return the schema of a class of a generated client, read without running it."""
    files = {
        Path(str(path)).stem.replace("_", ""): distribution(package).locate_file(path)
        for path in distribution(package).files or ()
        if str(path).startswith(folder)
    }
    definitions: dict[str, Schema] = {}

    def reference(written: str) -> Schema:
        if match := re.fullmatch(r"list\[(.+)\]", written):
            return {"type": "array", "items": reference(match[1])}
        if match := re.fullmatch(r"dict\(str, (.+)\)", written):
            return {"type": "object", "additionalProperties": reference(match[1])}
        if written in _SIMPLE:
            return _SIMPLE[written]
        if (path := files.get(written.lower())) is None:
            return {"$ref": KUBERNETES + _kubernetes_name(written)}
        if written not in definitions:
            definitions[written] = {}  # a type may hold itself
            definitions[written] = read(Path(str(path)))
        return {"$ref": f"#/$defs/{written}"}

    def read(path: Path) -> Schema:
        text = path.read_text()
        constants = dict(_constants(ast.parse(text)))
        names = constants["attribute_map"]
        members = {
            names[each]: reference(written) for each, written in constants["openapi_types"].items()
        }
        needed = re.findall(r"client_side_validation and (\w+) is None", text)
        return {
            "type": "object",
            "properties": members,
            "additionalProperties": False,
            "required": sorted({names[each] for each in needed}),
        }

    return {**reference(name), "$defs": definitions}


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue


def _kubernetes_name(written: str) -> str:
    """Return what Kubernetes calls a client's V1Container or K8sIoApiAppsV1DeploymentStrategy."""
    if match := re.fullmatch(r"K8sIoApi(\w+?)(V\d+)(\w+)", written):
        return f"io.k8s.api.{match[1].lower()}.{match[2].lower()}.{match[3]}"
    if match := re.fullmatch(r"V1(\w+)", written):
        return f"io.k8s.api.core.v1.{match[1]}"
    return written  # status types such as KnativeURL; a manifest that uses one finds no schema


def main() -> None:
    """Write all of them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    schemas = {name: from_pydantic(where) for name, where in PYDANTIC.items()}
    schemas.update({name: from_client(*where) for name, where in CLIENTS.items()})
    for name, schema in schemas.items():
        (folder / f"{name}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    main()
