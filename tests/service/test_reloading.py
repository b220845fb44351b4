from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from service_fakes import FakeEngine, until

from service.engine import LoadError
from service.errors import ReloadError
from service.keyring import Keyring
from service.reloading import reload_all


class SlowEngine(FakeEngine):
    """An engine that loads until it is told that it has done so, or failed."""

    async def reload(self) -> None:
        self.loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.loaded


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text("old")
    return path


@pytest.mark.parametrize(
    ("failure", "key_after"), [(None, "new"), (LoadError("no such file"), "old")]
)
def test_old_keys_open_until_the_new_weights_serve(
    keys_file: Path, failure: LoadError | None, key_after: str
) -> None:
    engine, keyring = SlowEngine(), Keyring((), keys_file)

    def opened() -> list[str]:
        return [key for key in ("old", "new") if keyring.opens(key)]

    async def run() -> None:
        keys_file.write_text("new")
        reloading = asyncio.create_task(reload_all(engine, keyring))
        await until(lambda: hasattr(engine, "loaded"))
        assert opened() == ["old"]
        if failure is None:
            engine.loaded.set_result(None)
            await reloading
        else:
            engine.loaded.set_exception(failure)
            with pytest.raises(ReloadError):
                await reloading
        assert opened() == [key_after]

    asyncio.run(run())


def test_weights_are_not_loaded_where_the_keys_cannot_be_read(
    keys_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine, keyring = FakeEngine(), Keyring((), keys_file)
    keys_file.unlink()
    with pytest.raises(ReloadError):
        asyncio.run(reload_all(engine, keyring))
    assert engine.num_reloads == 0
    assert keyring.opens("old")
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.message == "not reloaded; all goes on as before"
    assert str(keys_file) in vars(record)["why"]
