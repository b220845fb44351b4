"""A hook of MkDocs: links from docs/ to files of the repository lead to where that is published.

Pages link to their neighbours and, by relative paths, to files outside docs/, so that they work
where the repository is browsed. On a site the latter are not there.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)\s]*)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page with such links as addresses; as plain text where there is no `repo_url`."""

    def replaced(match: re.Match[str]) -> str:
        text, link = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link))
        if not path.startswith("../"):
            return match[0]
        if not config.repo_url:
            return str(text)
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path.removeprefix('../')})"

    return _LINK.sub(replaced, markdown)
