from __future__ import annotations

from pathlib import Path

from service.configuration.page import settings_page


def test_page_in_the_documentation_is_that_of_the_schema() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text() == settings_page(), (
        "python -m service.configuration.page > docs/settings.md"
    )
