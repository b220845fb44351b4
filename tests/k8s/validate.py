"""Says what is wrong with Kubernetes objects, by schemas that refuse whatever they do not name.

Runs where requirements.txt is installed: `python validate.py SCHEMAS VERSION < objects.yaml`.
SCHEMAS is what crd_schemas.py wrote, VERSION is Kubernetes'. Prints a line for each fault, an
unknown kind included, then how many objects were judged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from jsonschema.exceptions import best_match
from kubernetes_validate.utils import latest_version, schema_contents
from referencing import Registry, Resource


def faults(item: dict[str, Any], folder: Path, version: str) -> Iterator[str]:
    """Return what is wrong with an object, a line each."""
    name = f"{item.get('kind')}/{item.get('metadata', {}).get('name')}"
    group, _, api = item["apiVersion"].rpartition("/")
    own = folder / f"{group}_{api}_{item['kind']}.json"
    if own.is_file():
        for found in _validator(own).iter_errors(item):
            # Of an anyOf, what is wrong with the alternative that comes nearest.
            error = best_match([found]) or found
            yield f"{name}: {error.json_path}: {error.message[:300]}"
        return
    try:
        kubernetes_validate.validate(item, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{name}: no schema for {item['apiVersion']} {item['kind']}"
    except kubernetes_validate.ValidationError as error:
        yield f"{name}: {error.json_path}: {error.message[:300]}"


def _validator(path: Path) -> Any:
    folder = f"kubernetes-json-schema/v{latest_version()}-local-strict"
    definitions = schema_contents(f"{folder}/_definitions.json", latest_version())
    registry: Registry[Any] = Resource.from_contents(definitions) @ Registry()
    schema = json.loads(path.read_text())
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)


def main() -> None:
    """Judge what comes on the standard input."""
    folder, version = Path(sys.argv[1]), sys.argv[2]
    objects = [item for item in yaml.safe_load_all(sys.stdin) if item is not None]
    for item in objects:
        for fault in faults(item, folder, version):
            print(fault)
    print(f"{len(objects)} judged")


if __name__ == "__main__":
    main()
