"""What the OpenAPI document shows as examples; tests hold them to the records."""

from __future__ import annotations

from typing import Any

from service.engine import Task
from service.errors import ServiceError

_MODEL = {"name": "R_50_3x", "weights": "sha256:0f3a9c2b", "categories": "coco"}
_RUN_LENGTHS = {"size": [480, 640], "counts": "Zfm14"}

# A grey PNG of 8×8, so that the examples can be tried.
_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR4nGOsYIAAJgaKGAAj0ACI5/8dTgAAAABJ"
    "RU5ErkJggg=="
)

REQUESTS: dict[Task, dict[str, Any]] = {
    "segment": {"images": [{"data": _PICTURE, "id": "grey.png"}], "classes": ["bus", "person"]},
    "panoptic": {"images": [{"data": _PICTURE, "id": "grey.png"}]},
}

ANSWERS: dict[Task, dict[str, Any]] = {
    "segment": {
        "model": _MODEL,
        "images": [
            {
                "id": "bus.jpg",
                "width": 640,
                "height": 480,
                "instances": [
                    {
                        "category_id": 6,
                        "category": "bus",
                        "score": 0.971,
                        "bbox": [12.5, 40.1, 300.2, 220.9],
                        "area": 48211,
                        "segmentation": _RUN_LENGTHS,
                    }
                ],
            }
        ],
    },
    "panoptic": {
        "model": _MODEL,
        "images": [
            {
                "id": None,
                "width": 640,
                "height": 480,
                "segments": [
                    {
                        "id": 1,
                        "category_id": 6,
                        "category": "bus",
                        "isthing": True,
                        "score": 0.97,
                        "bbox": [12, 40, 301, 221],
                        "area": 48211,
                        "segmentation": _RUN_LENGTHS,
                    },
                    {
                        "id": 2,
                        "category_id": 191,
                        "category": "pavement-merged",
                        "isthing": False,
                        "bbox": [0, 300, 640, 180],
                        "area": 90112,
                        "segmentation": _RUN_LENGTHS,
                    },
                ],
            }
        ],
    },
}

CONVERSION: dict[str, Any] = {
    "images": [
        {
            "id": "bus.jpg",
            "width": 8,
            "height": 6,
            "instances": [
                {"category_id": 6, "category": "bus", "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]]}
            ],
        }
    ]
}

CVAT: dict[str, Any] = {"image": _PICTURE, "threshold": 0.5}

LABELSTUDIO: dict[str, Any] = {
    "tasks": [{"id": 7, "data": {"image": f"data:image/png;base64,{_PICTURE}"}}],
    "label_config": '<View><Image name="photo" value="$image"/><BrushLabels name="what" '
    'toName="photo"><Label value="Bus"/></BrushLabels></View>',
}

_DETAILS = {
    400: "image 1 ('b.jpg'): the JPEG picture is truncated inside its header",
    401: "an API key is required; send it as Authorization: Bearer <key> or X-API-Key: <key>",
    403: "image 0: images by URL are switched off on this server; send the bytes instead",
    404: "there is no route '/segmnt'; the nearest one is /segment",
    405: "GET is not for '/segment'; use POST",
    409: "what should be loaded cannot be had, and the old goes on serving; the server's log …",
    413: "the body has 41943040 bytes; send at most 33554432",
    415: "Content-Type 'text/plain' is not read; send image/jpeg, …",
    422: "unknown query parameter 'treshold'; the nearest known one is 'score_threshold'",
    429: "64 images are waiting already; send the request again later",
    500: "An unexpected error on the server; quote the request id when reporting it.",
    503: "the model is still loading; ask again later",
    504: "the request was not answered within 30 s; send fewer or smaller images",
}


def problem(kind: type[ServiceError]) -> dict[str, Any]:
    """Return what an error of that kind may look like."""
    return {
        "type": f"urn:blendmask:error:{kind.kind}",
        "title": kind.title,
        "status": kind.status,
        "detail": _DETAILS[kind.status],
        "request_id": "5f0c6f0e9d3b4c6a8e2f1a7b9c0d1e2f",
    }
