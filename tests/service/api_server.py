"""The HTTP door before an engine that answers at once, as records of the API say: for testing it.

`python api_server.py FILE` serves until it is killed; its address stands in the file then.
"""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from service_fakes import INSTANCE_MODEL, PANOPTIC_MODEL, FakeEngine

from model.answers.dialects.choice import tell
from model.masks.run_lengths import compress, counts_of
from service.app import create_app
from service.configuration.settings import Settings
from service.engine import Job, Picture, Result
from service.http.connections.server import guarded_protocol
from service.http.openapi import examples
from service.json_bytes import to_json


class ExampleEngine(FakeEngine):
    """Answers with the examples of the OpenAPI document."""

    async def submit(self, job: Job) -> Result:
        [model] = (one for one in self.models if one.name == job.model)
        bodies = tuple(_answer(job, picture) for picture in job.pictures)
        return Result(bodies=bodies, seconds={"queue": 0.001}, model=model)


def _answer(job: Job, picture: Picture) -> bytes:
    if job.asked.picture_type is not None:
        buffer = io.BytesIO()
        Image.new("RGB", (picture.width, picture.height)).save(
            buffer, job.asked.picture_type.removeprefix("image/")
        )
        return buffer.getvalue()
    [image] = examples.ANSWERS[job.asked.task]["images"]
    native = {**image, "id": picture.id, "width": picture.width, "height": picture.height}
    if job.asked.format != "native":
        _fill_masks(native)
    return to_json(tell(native, job.asked.format, job.asked.masks))


def _fill_masks(image: dict[str, Any]) -> None:
    """Put masks that can be read in place of the examples' own: all of the first column."""
    height, width = image["height"], image["width"]
    counts = compress(counts_of(np.ones((height, 1), bool), 0, 0, height, width)).decode()
    kind = "instances" if "instances" in image else "segments"
    mask = {"size": [height, width], "counts": counts}
    image[kind] = [{**row, "segmentation": mask} for row in image[kind]]


def main(file: Path) -> None:
    settings = Settings(
        admin=True, convert=True, labelling_tools=True, body_timeout_s=5, head_timeout_s=5
    )
    config = uvicorn.Config(
        create_app(settings, ExampleEngine([INSTANCE_MODEL, PANOPTIC_MODEL])),
        http=guarded_protocol(settings),
        ws="none",
        log_level="error",
        access_log=False,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        whole = file.with_suffix(".part")
        whole.write_text(f"http://127.0.0.1:{listener.getsockname()[1]}")
        whole.rename(file)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
