from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sbom(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("sbom")


def bill(*names: str) -> dict[str, Any]:
    components = [{"name": name, "bom-ref": name} for name in names]
    links = [{"ref": "root", "dependsOn": list(names)}, *({"ref": name} for name in names)]
    root = {"component": {"bom-ref": "root"}}
    return {"metadata": root, "components": components, "dependencies": links}


def test_what_serves_is_needed_and_what_tests_is_not(sbom: Any) -> None:
    names = sbom.needed("blendmask-server", ())
    assert {"torch", "starlette", "numpy"} <= names
    assert not {"pytest", "ruff", "blendmask-server"} & names


def test_other_components_and_links_to_them_are_left_out(sbom: Any) -> None:
    kept = sbom.keep(bill("Torch", "pytest"), {"torch"})
    assert [component["name"] for component in kept["components"]] == ["Torch"]
    assert kept["dependencies"] == [
        {"ref": "root", "dependsOn": ["Torch"]},
        {"ref": "Torch", "dependsOn": []},
    ]


def test_missing_component_is_an_error(sbom: Any) -> None:
    with pytest.raises(ValueError, match="lacks numpy"):
        sbom.keep(bill("torch"), {"torch", "numpy"})


def test_files_of_the_machine_are_not_told(sbom: Any) -> None:
    given = bill("torch")
    references = [{"url": "file:///x.whl"}, {"url": "https://example.org"}]
    given["components"][0]["externalReferences"] = references
    [component] = sbom.keep(given, {"torch"})["components"]
    assert component["externalReferences"] == [{"url": "https://example.org"}]
