"""The image, built once, and what was measured on the way."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import base_image
import build_image
import container
import pytest
from image_report import Measured, report

TAG = os.environ.get("IMAGE_TAG", "localhost/blendmask-server:cpu")


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """Numbers of this run; IMAGE_REPORT names the file that they go to if every test passes."""
    numbers = Measured()
    yield numbers
    path = os.environ.get("IMAGE_REPORT")
    if path and not request.session.testsfailed:
        Path(path).write_text(report(numbers))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, measured: Measured) -> SimpleNamespace:
    """The CPU variant: tag, the build's folder and arguments, podman's description."""
    folder = tmp_path_factory.mktemp("image")
    base = base_image.base_name(build_image.ROOT / "Dockerfile")
    measured.base = base_image.provide_base(base)
    context = build_image.copy_context(folder / "context")
    wheels = folder / "wheels"
    arguments = build_image.cpu_arguments(wheels)
    built = build_image.build(context, TAG, arguments, wheels)
    measured.build_s = built.seconds
    measured.with_cache = built.was_cached(build_image.INSTALL_STEP)
    description = json.loads(container.podman("image", "inspect", TAG))[0]
    measured.size_bytes = description["Size"]
    return SimpleNamespace(
        tag=TAG, context=context, wheels=wheels, arguments=arguments, description=description
    )


@pytest.fixture(scope="module")
def server(image: SimpleNamespace, measured: Measured) -> Iterator[container.Container]:
    """A ready server, locked up, with the bundled weights."""
    with container.run(image.tag, "blendmask-image-test", BLENDMASK_WEIGHTS="small") as started:
        measured.ready_s = started.wait_until_ready()
        yield started
