from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)


def _pages() -> list[Path]:
    """Return every Markdown file that is, or is about to be, part of the project."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = [ROOT / name for name in listed.stdout.splitlines()] or [
        page
        for page in ROOT.rglob("*.md")
        if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
    ]
    return sorted(page for page in found if page.exists())


def anchors(text: str) -> set[str]:
    """Return the names of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", _CODE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    broken = []
    for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", _CODE.sub("", text))):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page if not path else page.parent / path
        is_page = target.suffix == ".md" and target.exists()
        if not target.exists() or (
            anchor and is_page and anchor not in anchors(target.read_text())
        ):
            broken.append(link)
    assert broken == []


def test_headings_get_the_names_that_links_use() -> None:
    text = "# The `same` numbers, 2 of 3!\n\n```\n# no heading\n```\n## [A](b.md) page #\n"
    assert anchors(text) == {"the-same-numbers-2-of-3", "a-page"}
