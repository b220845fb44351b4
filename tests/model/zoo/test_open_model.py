from __future__ import annotations

import errno
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from weights_server import WeightsServer, weights_server

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import Checkpoint
from model.network.blendmask import BlendMask
from model.presets import PRESETS
from model.zoo import bundled, download, hub
from model.zoo import open_model as zoo
from model.zoo.digest_ledger import check_digest
from model.zoo.open_model import BUNDLED, RELEASED, ZooError, open_model

HUB_FILE = "somebody/models:tiny.safetensors"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Our file with a tiny network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    config = tiny.tiny_config(semantic=True)
    made = Checkpoint(
        config=config,
        categories=tiny.CATEGORIES,
        tensors=dict(BlendMask(config).state_dict()),
        sha256="",
        provenance={"source": "a test"},
    )
    checkpoint.save(path, made)
    return path.read_bytes()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsServer]:
    monkeypatch.setenv("BLENDMASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with weights_server() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def assert_one_sentence(error: BaseException) -> None:
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)


def test_local_file_needs_no_network(tmp_path: Path, weights: bytes) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(weights)
    opened = open_model(str(path))
    assert opened.config.name == "tiny"
    assert opened.provenance == {"source": "a test"}


def test_hub_file_is_fetched_once_and_its_digest_kept(
    server: WeightsServer, weights: bytes, tmp_path: Path
) -> None:
    server.put_on_hub("somebody/models", "tiny.safetensors", weights)
    opened = open_model(HUB_FILE)
    assert opened.sha256 == digest(weights)
    assert opened.provenance["fetched_from"] == HUB_FILE
    ledger = json.loads((tmp_path / "cache" / "digests.json").read_text())
    assert ledger == {HUB_FILE: digest(weights)}
    open_model(HUB_FILE)
    assert sum(request.startswith("GET") for request in server.requests) == 1


def test_released_name_asks_for_its_file_and_its_configuration(
    server: WeightsServer, weights: bytes
) -> None:
    server.put_on_hub("ZjuCv/AdelaiDet", "R_50_3x.pth", weights)
    with pytest.raises(ValueError, match=r"R_50_3x\.pth: the weights do not fit .* R_50_3x: "):
        open_model("R_50_3x")
    assert server.requests[0] == "HEAD /ZjuCv/AdelaiDet/resolve/main/R_50_3x.pth"


def test_released_weights_carry_their_licence(server: WeightsServer, weights: bytes) -> None:
    server.put_on_hub("ZjuCv/AdelaiDet", "tiny.safetensors", weights)
    opened = open_model("ZjuCv/AdelaiDet:tiny.safetensors")
    assert "non-commercial" in opened.provenance["licence"]


def test_every_released_name_is_a_configuration() -> None:
    assert set(RELEASED) < set(PRESETS)
    assert zoo.DEFAULT_MODEL in BUNDLED


def test_configuration_without_published_weights_says_so() -> None:
    with pytest.raises(ZooError, match="no weights are published for Panoptic/R_50_3x; give the"):
        open_model("Panoptic/R_50_3x")


def test_bundled_model_is_opened_by_name_with_no_network(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "small.safetensors").write_bytes(weights)
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("asked the network"))
    opened = open_model("small")
    assert opened.sha256 == digest(weights)
    assert opened.provenance == {"source": "a test"}


def test_installation_without_the_bundled_weights_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled.resources, "files", lambda package: tmp_path)
    with pytest.raises(ZooError, match="the bundled weights small are not in this installation"):
        open_model("small")


def test_bundled_names_are_none_of_the_released_ones() -> None:
    assert not set(BUNDLED) & set(PRESETS)


def test_unknown_name_lists_near_ones() -> None:
    with pytest.raises(ZooError, match=r"no file R50_3x, .* the nearest: R_50_3x"):
        open_model("R50_3x")


def test_file_that_changed_under_its_name_is_refused_until_accepted(
    server: WeightsServer, weights: bytes, tmp_path: Path
) -> None:
    server.put_on_hub("somebody/models", "tiny.safetensors", weights)
    open_model(HUB_FILE)
    ledger = tmp_path / "cache" / "digests.json"
    ledger.write_text(json.dumps({HUB_FILE: "0" * 64}))
    with pytest.raises(ZooError, match="has changed since it was first fetched") as caught:
        open_model(HUB_FILE)
    assert "0" * 64 in str(caught.value)
    assert digest(weights) in str(caught.value)
    assert f"delete its line in {ledger}" in str(caught.value)
    ledger.write_text("{}")
    assert open_model(HUB_FILE).sha256 == digest(weights)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "the hub has no such file"),
        (401, "the hub knows no such public repository"),
        (403, "the hub asks for access rights"),
        (500, "the hub answered 500"),
    ],
)
def test_refusing_hub_is_one_sentence(server: WeightsServer, status: int, message: str) -> None:
    server.statuses["/somebody/models/resolve/main/tiny.safetensors"] = status
    with pytest.raises(ZooError, match=message) as caught:
        open_model(HUB_FILE)
    assert "give a local file instead: --weights FILE" in str(caught.value)
    assert_one_sentence(caught.value)
    assert len(server.requests) == 1, "no retries"


def test_unreachable_hub_is_one_sentence(
    server: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ZooError, match="the hub does not answer") as caught:
        open_model("R_50_3x")
    assert_one_sentence(caught.value)


def test_silent_hub_is_given_up(server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_ANSWER_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ZooError, match="the hub does not answer") as caught:
            open_model("R_50_3x")
    assert_one_sentence(caught.value)


def test_cached_file_serves_when_the_hub_does_not(
    server: WeightsServer, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_on_hub("somebody/models", "tiny.safetensors", weights)
    open_model(HUB_FILE)
    server.statuses["/somebody/models/resolve/main/tiny.safetensors"] = 503
    assert open_model(HUB_FILE).sha256 == digest(weights)
    asked = len(server.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert open_model(HUB_FILE).sha256 == digest(weights)
    assert len(server.requests) == asked


def test_offline_without_a_copy_says_so(
    server: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ZooError, match="HF_HUB_OFFLINE forbids fetching it; give a local file"):
        open_model("R_50_3x")
    assert server.requests == []


def test_full_disk_is_one_sentence(
    server: WeightsServer, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    server.put_on_hub("somebody/models", "tiny.safetensors", weights)
    monkeypatch.setattr(hub, "hf_hub_download", full)
    with pytest.raises(ZooError, match="cannot be fetched: the disk is full; give a local file"):
        open_model(HUB_FILE)
    server.files["/w"] = weights
    monkeypatch.setattr(download, "_stream", full)
    with pytest.raises(ZooError, match="cannot be fetched: the disk is full; give a local file"):
        open_model(f"{server.url}/w#sha256={digest(weights)}")


def test_digests_that_cannot_be_kept_leave_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("BLENDMASK_CACHE", str(tmp_path))
    monkeypatch.setattr(Path, "replace", fail)
    check_digest("a model", "0" * 64)
    assert "could not be recorded" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_unwritable_cache_does_not_stop_a_model(
    server: WeightsServer, weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    monkeypatch.setenv("BLENDMASK_CACHE", str(blocked / "cache"))
    server.put_on_hub("somebody/models", "tiny.safetensors", weights)
    assert open_model(HUB_FILE).sha256 == digest(weights)


def test_address_with_its_digest_is_fetched_once(
    server: WeightsServer, weights: bytes, tmp_path: Path
) -> None:
    server.files["/files/tiny.safetensors"] = weights
    url = f"{server.url}/files/tiny.safetensors#sha256={digest(weights)}"
    assert open_model(url).provenance["fetched_from"] == url
    open_model(url)
    assert server.requests == ["GET /files/tiny.safetensors"]
    kept = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept == ["tiny.safetensors"]


def test_damaged_copy_is_fetched_again(
    server: WeightsServer, weights: bytes, tmp_path: Path
) -> None:
    server.files["/tiny.safetensors"] = weights
    url = f"{server.url}/tiny.safetensors#sha256={digest(weights)}"
    open_model(url)
    (copy,) = (tmp_path / "cache").rglob("tiny.safetensors")
    copy.write_bytes(b"damaged")
    assert open_model(url).sha256 == digest(weights)


def test_other_bytes_than_promised_are_refused_and_not_kept(
    server: WeightsServer, weights: bytes, tmp_path: Path
) -> None:
    server.files["/w"] = weights
    with pytest.raises(
        ZooError, match=f"sha256 {digest(weights)}; the address promises {'0' * 64}"
    ):
        open_model(f"{server.url}/w#sha256={'0' * 64}")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_connection_that_ends_early_says_so(server: WeightsServer, weights: bytes) -> None:
    server.files["/w"] = weights
    server.cut.add("/w")
    with pytest.raises(ZooError, match=rf"ended after {len(weights) // 2} of {len(weights)} bytes"):
        open_model(f"{server.url}/w#sha256={digest(weights)}")


def test_missing_address_is_one_sentence(server: WeightsServer) -> None:
    with pytest.raises(ZooError, match="the server answered 404; give a local file") as caught:
        open_model(f"{server.url}/none#sha256={'0' * 64}")
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://example.org/w.pth", "must end in #sha256="),
        ("https://example.org/w.pth#sha256=abc", "must end in #sha256="),
        (f"http://example.org/w.pth#sha256={'0' * 64}", "is not an https address"),
        (f"ftp://example.org/w.pth#sha256={'0' * 64}", "is not an https address"),
        (f"file:///etc/passwd#sha256={'0' * 64}", "is not an https address"),
    ],
)
def test_unsafe_addresses_are_refused(address: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        open_model(address)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://example.org/w.pth"])
def test_redirects_to_unsafe_addresses_are_refused(server: WeightsServer, place: str) -> None:
    server.moved["/w"] = place
    with pytest.raises(ZooError, match=r"is not an https address|answered 302"):
        open_model(f"{server.url}/w#sha256={'0' * 64}")


def test_safe_redirect_is_followed(server: WeightsServer, weights: bytes) -> None:
    server.moved["/w"] = "/elsewhere"
    server.files["/elsewhere"] = weights
    assert open_model(f"{server.url}/w#sha256={digest(weights)}").config.name == "tiny"


def test_configuration_may_be_a_preset_a_yaml_file_or_nonsense(
    tmp_path: Path, weights: bytes
) -> None:
    path, own = tmp_path / "tiny.safetensors", tmp_path / "own.yaml"
    path.write_bytes(weights)
    own.write_text("MODEL: {FCOS: {NUM_CLASSES: 7}}\n")
    with pytest.raises(ValueError, match="do not fit the configuration R_50_1x"):
        open_model(str(path), config="R_50_1x")
    with pytest.raises(ValueError, match=r"configuration own:.*3 classes, the configuration 7"):
        open_model(str(path), config=str(own))
    with pytest.raises(ValueError, match="no released configuration is called 'R_50_9x'"):
        open_model(str(path), config="R_50_9x")


def test_overrides_reach_a_configuration_however_it_is_given(
    tmp_path: Path, weights: bytes
) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(weights)
    with pytest.raises(ValueError, match=r"3 classes, the configuration 12"):
        open_model(str(path), config="R_50_1x", overrides=["MODEL.FCOS.NUM_CLASSES", "12"])
    with pytest.raises(ValueError, match="cannot describe a mobilenet_v2 backbone"):
        open_model(str(path), overrides=["MODEL.FCOS.NMS_TH", "0.5"])


def test_categories_come_from_a_coco_file(tmp_path: Path, weights: bytes) -> None:
    path, names = tmp_path / "tiny.safetensors", tmp_path / "farm.json"
    path.write_bytes(weights)
    rows = [{"id": i, "name": f"animal {i}"} for i in (2, 4, 6)]
    rows += [{"id": i, "name": f"field {i}", "isthing": 0} for i in (7, 8)]
    names.write_text(json.dumps({"categories": rows}))
    opened = open_model(str(path), categories=names)
    assert [category.id for category in opened.categories.things] == [2, 4, 6]
    names.write_text(json.dumps({"categories": rows[:1]}))
    with pytest.raises(ValueError, match="are 1 things and 0 kinds of stuff"):
        open_model(str(path), categories=names)
