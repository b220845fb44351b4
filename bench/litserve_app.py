"""The same `Predictor` behind LitServe, for comparison.

    pip install litserve
    python bench/litserve_app.py --weights FILE --port 8001 [--max-batch 8] [--batch-timeout 0.01]

Configured as its documentation advises for throughput: batches as large as this server's, one
worker for the device, its fast (ZeroMQ) queue; the answer leaves its worker as encoded JSON, and
the request is the picture's bytes, as here. Its batches are whatever came in together: pictures of
several canvases are then run as several batches by `Predictor` itself.
"""

from __future__ import annotations

import argparse
import os
from typing import Annotated, Any

import litserve
import numpy as np
import torch
from fastapi import Body
from fastapi.responses import Response
from serve_bare import usual_options

from model.answers.json_answer import model_member, segment_answer
from model.pictures.decode import decode_image
from model.prediction.predictor import Predictor
from model.structures import Instances
from model.zoo.open_model import open_model
from service.json_bytes import to_json

# Resolved by FastAPI from the annotation, so that the raw body arrives.
Bytes = Annotated[bytes, Body(media_type="application/octet-stream")]


class SegmentAPI(litserve.LitAPI):  # type: ignore[misc]
    """Decode, predict and encode, in LitServe's worker."""

    def __init__(self, weights: str, **options: Any) -> None:
        super().__init__(**options)
        self._weights = weights

    def setup(self, device: str) -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
        checkpoint = open_model(self._weights)
        self._predictor = Predictor.from_checkpoint(checkpoint, device)
        self._member = model_member(
            checkpoint.config.name, checkpoint.sha256, self._predictor.categories
        )
        self._options = usual_options(self._predictor)
        self._predictor.segment([np.full((480, 640, 3), 128, dtype=np.uint8)], self._options)

    def decode_request(self, request: Bytes) -> np.ndarray:  # type: ignore[valid-type]
        return decode_image(request)

    def batch(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        return inputs

    def predict(self, images: list[np.ndarray] | np.ndarray) -> list[Instances] | Instances:
        if isinstance(images, list):
            return self._predictor.segment(images, self._options)
        return self._predictor.segment([images], self._options)[0]

    def unbatch(self, output: list[Instances]) -> list[Instances]:
        return output

    def encode_response(self, output: Instances) -> Response:
        answer = segment_answer(output, self._predictor.categories, image_id=None, masks="rle")
        body = to_json({"model": self._member, "images": [answer]})
        return Response(body, media_type="application/json")


# The annotation must be an object, not its text, when LitServe reads it.
SegmentAPI.decode_request.__annotations__["request"] = Bytes
SegmentAPI.encode_response.__annotations__["return"] = Response


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument("--batch-timeout", type=float, default=0.01)
    parser.add_argument("--timeout", type=float, default=30)
    arguments = parser.parse_args()
    api = SegmentAPI(
        arguments.weights,
        max_batch_size=arguments.max_batch,
        batch_timeout=arguments.batch_timeout,
    )
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    server = litserve.LitServer(
        api,
        accelerator=accelerator,
        devices=1,
        workers_per_device=1,
        timeout=arguments.timeout,
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
