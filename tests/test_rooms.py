"""The walls of the house: no import circle, small rooms, and files of one idea each."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("model", "service")
SCRIPT_FOLDERS = ("bench", "scripts")
CODE = (*PACKAGES, *SCRIPT_FOLDERS, "csrc", "docker", "k8s")
SUFFIXES = (".py", ".cpp", ".h", ".cu", ".cuh")
MAX_LINES = 250
# The first words of the reason that a longer file's docstring (in C++: any comment) gives.
REASON = "Long because "


def modules() -> dict[str, Path]:
    """Every module that code of ours can import, by the name it is imported by."""
    packages = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    scripts = {
        path.stem: path for folder in SCRIPT_FOLDERS for path in (ROOT / folder).glob("*.py")
    }
    return packages | scripts


def imports(path: Path, known: Iterable[str]) -> set[str]:
    """The known modules that a file imports anywhere in it, also for its annotations alone."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update((names & set(known)) or {node.module})
    return found & set(known)


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of modules, each imported by the one behind it; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def too_long(paths: Iterable[Path]) -> Iterator[str]:
    """Those of the files that are long and give no reason."""
    for path in paths:
        text = path.read_text()
        told = (ast.get_docstring(ast.parse(text)) or "") if path.suffix == ".py" else text
        count = text.count("\n")
        if count > MAX_LINES and REASON not in " ".join(told.split()):
            yield f"{path}: {count} lines"


def test_no_imports_go_in_a_circle() -> None:
    known = modules()
    found = circle({name: imports(path, known) for name, path in known.items()})
    assert not found, f"{' <- '.join(found)}"


def test_circle_is_seen_through_annotations_and_functions(tmp_path: Path) -> None:
    texts = {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import thing\n",
        "b": "def thing():\n    import c\n",
        "c": "import a\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    graph = {name: imports(tmp_path / f"{name}.py", texts) for name in texts}
    assert set(circle(graph)) == {"a", "b", "c"}
    assert circle({**graph, "c": set()}) == []


@pytest.mark.parametrize(
    ("room", "most"),
    [
        ("model", 16),
        ("service/http/connections", 10),
        ("service/http/requests", 10),
        ("service/http/urls", 10),
        ("service/http/openapi", 10),
    ],
)
def test_room_is_not_crowded(room: str, most: int) -> None:
    files = sorted(path.name for path in (ROOT / room).glob("*.py") if path.stem != "__init__")
    assert 0 < len(files) <= most, files


def test_long_file_says_why() -> None:
    ours = [ROOT / "setup.py", *(path for folder in CODE for path in (ROOT / folder).rglob("*"))]
    assert not list(too_long(path for path in ours if path.suffix in SUFFIXES))


def test_reason_for_length_is_one_in_the_docstring(tmp_path: Path) -> None:
    body = "x = 1\n" * MAX_LINES
    silent, told = tmp_path / "silent.py", tmp_path / "told.py"
    silent.write_text(f'"""It is long."""\n\nWHY = "{REASON}it says so"\n{body}')
    told.write_text(f'"""It is long.\n\n{REASON}it is a table.\n"""\n{body}')
    assert [line.rpartition(":")[0] for line in too_long([silent, told])] == [str(silent)]
