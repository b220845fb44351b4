from __future__ import annotations

from check_api import check


def test_server_keeps_to_its_own_openapi_document() -> None:
    done = check(5, "--phases", "examples,fuzzing", "--seed", "1")
    assert done.returncode == 0, done.stdout
    assert "18 selected / 18 total" in done.stdout
