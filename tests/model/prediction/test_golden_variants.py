"""Options of the original's YAML give the original's numbers under those options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import goldens
import pytest
from test_golden_photos import (
    assert_same_instances,
    assert_same_partition,
    max_other_pixels,
)

from model.adelaidet.config_files import read_config


def cases() -> list[Any]:
    """Every variant whose photo is here, and that is one picture's answer."""
    photos = {path.name for path in (goldens.FOLDER / "_images").iterdir()}
    found = []
    for path in sorted((goldens.FOLDER / "_variants").glob("*.json")):
        name = path.stem
        if goldens.read(f"_variants/{name}").get("image") in photos:
            quick = name in ("no_resize", "fp_resize_480", "no_detection")
            marks = () if quick else (pytest.mark.golden_all,)
            found.append(pytest.param(name, marks=marks))
    return found


@pytest.mark.parametrize("variant", cases())
def test_options_of_the_yaml_give_the_originals_numbers(
    variant: str, golden_folder: Path, tmp_path: Path
) -> None:
    expected = goldens.read(f"_variants/{variant}")
    name = expected["config"]
    path = tmp_path / "config.yaml"
    path.write_text(goldens.as_yaml(goldens.read(f"{name}/manifest")["cfg"]))
    config = read_config(path, overrides=[str(option) for option in expected["opts"]])
    predictor = goldens.with_config(goldens.predictor(name, golden_folder), config)
    photo = goldens.image(Path(expected["image"]).stem)
    (result,) = predictor.segment([photo])
    assert_same_instances(result, expected, max_other_pixels(name))
    if config.is_panoptic:
        (partition,) = predictor.panoptic([photo])
        ids = goldens.labels(f"_variants/{variant}.panoptic")
        # The verge of another label is a matter of photo and weights, not of the options.
        unsure = goldens.read(f"{name}/{Path(expected['image']).stem}")
        assert_same_partition(partition, expected, ids, unsure["sem_px_top2_margin_below_1e-3"])
