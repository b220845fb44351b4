"""The page in a real browser, on a real server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass
class Watched:
    """A page and what it did. errors: of scripts and the console. requests: method and URL."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def wait_until_open(self) -> None:
        """Return once the page knows the server's models."""
        self.wait_until("document.getElementById('model').options.length > 0")

    def wait_until(self, expression: str, timeout_s: float = 60) -> None:
        """Return once an expression is true; Playwright's own way evaluates, which we forbid."""
        deadline = time.monotonic() + timeout_s
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"not in time: {expression}; {self.errors}"
            self.page.wait_for_timeout(20)

    def asked(self) -> list[str]:
        """The addresses to which pictures were sent."""
        return [url for method, url in self.requests if method == "POST"]

    def wait_for_objects(self) -> None:
        """Return once an answer is shown."""
        self.wait_until(
            "window.blendmask.view.scene !== null && document.getElementById('work').hidden"
        )
        self.settle()

    def settle(self) -> None:
        """Return once what was asked for is drawn."""
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def choose(self, path: Path) -> None:
        """Choose a file and wait for its masks."""
        self.page.set_input_files("#files", path)
        self.wait_for_objects()

    def drop(self, path: Path, media_type: str) -> None:
        """Drop a file onto the picture's place."""
        self.page.evaluate(
            """async ([bytes, name, type]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], name, {type}));
              const about = {dataTransfer: data, bubbles: true, cancelable: true};
              const drop = new DragEvent("drop", about);
              document.getElementById("stage").dispatchEvent(drop);
            }""",
            [list(path.read_bytes()), path.name, media_type],
        )

    def slide(self, name: str, value: float) -> None:
        """Move a slider."""
        self.page.evaluate(
            """([name, value]) => {
              const slider = document.getElementById(name);
              slider.value = value;
              slider.dispatchEvent(new Event("input", {bubbles: true}));
            }""",
            [name, value],
        )
        self.settle()


@contextmanager
def browse(url: str, *, is_open: bool = True, **context: Any) -> Iterator[Watched]:
    """Open the page in a fresh browser.

    Args:
        is_open: wait until it may be used.
        context: of Playwright's `new_context`: viewport, color_scheme and so on.
    """
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        page = browser.new_context(**context).new_page()
        watched = Watched(page)
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on("request", lambda request: watched.requests.append((request.method, request.url)))
        page.goto(url)
        if is_open:
            watched.wait_until_open()
        yield watched
        browser.close()
