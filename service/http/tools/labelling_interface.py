"""What Label Studio's labelling interface asks a backend for, and answers fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as Xml

from model.answers.dialects.choice import Masks
from service.errors import OptionError
from service.wording import quoted

# Of labels' tags, the one that says most first; and how their regions tell a mask.
_KINDS: Mapping[str, Masks] = {
    "BrushLabels": "rle",
    "PolygonLabels": "polygon",
    "RectangleLabels": "none",
}
_MAX_CHARACTERS = 2**20


@dataclass(frozen=True, kw_only=True)
class Interface:
    """Where an interface's pictures are and its regions go.

    picture_key: of the picture in a task's data; None: whatever looks like one.
    labels: what the interface calls the model's classes, by their names in small letters; empty:
    as the model does.
    """

    from_name: str = "label"
    to_name: str = "image"
    masks: Masks = "rle"
    picture_key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def read_interface(text: str | None) -> Interface:
    """Return what an interface's XML asks for. None or empty: nothing in particular.

    A label is meant by its own name, or by the names in its `predicted_values`.

    Raises:
        OptionError: it is no XML, or has nothing that a mask could become.
    """
    if not text:
        return Interface()
    if len(text) > _MAX_CHARACTERS or "<!" in text.replace("<!--", ""):
        raise OptionError("label_config is too long, or defines entities; send plain tags")
    try:
        tree = Xml.fromstring(text)
    except Xml.ParseError as error:
        raise OptionError(f"label_config is no XML: {error}") from None
    for kind, masks in _KINDS.items():
        for control in tree.iter(kind):
            names = {tag.get("name"): tag for tag in tree.iter("Image")}
            picture = names.get(control.get("toName"))
            if picture is None:
                continue
            return Interface(
                from_name=control.get("name", ""),
                to_name=picture.get("name", ""),
                masks=masks,
                picture_key=picture.get("value", "").removeprefix("$") or None,
                labels=_labels(control),
            )
    raise OptionError(
        f"label_config has none of {', '.join(_KINDS)} for an Image; a mask can become nothing else"
    )


def fit(prediction: dict[str, Any], interface: Interface) -> dict[str, Any]:
    """Return a prediction of ours with the interface's names, and only what it has a label for."""
    regions = []
    for region in prediction["result"]:
        [name] = region["value"][region["type"]]
        label = interface.labels.get(name.lower()) if interface.labels else name
        if label is not None:
            value = {**region["value"], region["type"]: [label]}
            names = {"from_name": interface.from_name, "to_name": interface.to_name}
            regions.append({**region, **names, "value": value})
    scores = [region["score"] for region in regions]
    return {"result": regions, "score": sum(scores) / len(scores) if scores else 0.0}


def picture_of(data: Mapping[str, Any], interface: Interface) -> str:
    """Return what a task's data says of its picture. Raises OptionError where that is nothing."""
    if interface.picture_key is not None:
        told = data.get(interface.picture_key)
        if isinstance(told, str):
            return told
        raise OptionError(f"its data has no {quoted(interface.picture_key)} that is a text")
    texts = [value for value in data.values() if isinstance(value, str)]
    if len(texts) != 1:
        raise OptionError(f"its data has {len(texts)} texts; without a label_config, send one")
    return texts[0]


def _labels(control: Xml.Element) -> dict[str, str]:
    labels: dict[str, str] = {}
    for label in control.iter("Label"):
        value = label.get("value", "")
        told = label.get("predicted_values") or value
        labels |= {name.strip().lower(): value for name in told.split(",")}
    return labels
