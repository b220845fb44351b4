"""Names of tensors: AdelaiDet's, detectron2's, Caffe2's and DLA's, turned into ours.

Ours are the original checkpoint's, but for two prefixes: `fcos_head.` stands at the root, and
the panoptic module is called `semantic_head.` (spec, section 10).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoints.tensor_file import read_tensor_file

_BOTTOM_UP = "backbone.bottom_up."
_PREFIXES = (
    ("proposal_generator.fcos_head.", "fcos_head."),
    ("panoptic_module.", "semantic_head."),
)
# maskrcnn-benchmark's FCOS, whose names detectron2's descend from; in this order.
_BENCHMARK_RULES = (
    (r"\bbody\b", "bottom_up"),
    (r"\.layer([1-4])\.", lambda m: f".res{int(m[1]) + 1}."),
    (r"downsample\.0", "shortcut"),
    (r"downsample\.1", "shortcut.norm"),
    (r"\bbn(\d)\b", r"conv\1.norm"),
    (r"\bfpn_inner([2-4])\b", lambda m: f"fpn_lateral{int(m[1]) + 1}"),
    (r"\bfpn_layer([2-4])\b", lambda m: f"fpn_output{int(m[1]) + 1}"),
    (r"\btop_blocks\b", "top_block"),
    (r"\bfpn\.", ""),
    (r"^rpn\b", "proposal_generator"),
    (r"\bhead\b", "fcos_head"),
)
_CAFFE2_RULES = (
    (r"_", "."),
    (r"\.w$", ".weight"),
    (r"\.b$", ".bias"),
    (r"\bbn\.s$", "norm.weight"),
    (r"\bbn\.bias$", "norm.bias"),
    (r"\bbn\.rm$", "norm.running_mean"),
    (r"\bbn\.riv$", "norm.running_var"),
    (r"^res\.conv1\.norm\.", "stem.conv1.norm."),
    (r"^conv1\.", "stem.conv1."),
    (r"\bbranch1\b", "shortcut"),
    (r"\bbranch2a\b", "conv1"),
    (r"\bbranch2b\b", "conv2"),
    (r"\bbranch2c\b", "conv3"),
)
# What a classifier has above or beside the backbone.
_CLASSIFIER = re.compile(r"^(fc|fc1000|classifier|features\.18)\.|^stem\.conv1\.bias$")
# The first part of every name in the backbones that we know.
_BACKBONE_PARTS = frozenset(
    {"stem", "res2", "res3", "res4", "res5", "base_layer", "features"}
    | {f"level{n}" for n in range(6)}
    | {"entry", *(f"stage{n}" for n in (2, 3, 4, 5))}
)


def our_names(names: Iterable[str]) -> dict[str, str]:
    """Return {name in a checkpoint: name in our network} for a whole network's tensors.

    Ours stay as they are. Names of older programs are understood: `centerness` for `ctrness`,
    and maskrcnn-benchmark's.

    Raises:
        ValueError: two names become one.
    """
    old = list(names)
    bare = old
    if any(name.startswith("backbone.body.") for name in bare):
        bare = [_rewritten(name, _BENCHMARK_RULES) for name in bare]
    new = [_with_our_prefix(name.replace("centerness", "ctrness")) for name in bare]
    return _one_to_one(old, new)


def is_backbone_only(names: Iterable[str]) -> bool:
    """Whether the tensors are an ImageNet backbone's, with no detector around it."""
    return bool(_backbone_names(names)) and not any(
        "fcos_head." in name or "basis_module." in name or "fpn_" in name for name in names
    )


def backbone_tensors(path: Path) -> dict[str, Tensor]:
    """Return an ImageNet backbone's tensors under our names, `backbone.bottom_up.…`.

    Reads Caffe2's (MSRA) `.pkl`, detectron2's, DLA's `.pth` and torchvision's MobileNetV2; of a
    whole network it takes the backbone. Where a file has no running statistics, the mean is 0
    and the variance 1, as the original fills them.

    Raises:
        ValueError: the file cannot be read, or holds no such backbone.
    """
    source = read_tensor_file(path).tensors
    names = _backbone_names(source)
    if not names:
        examples = ", ".join(list(source)[:3])
        raise ValueError(
            f"{path} holds no backbone that BlendMask stands on (ResNet from MSRA or detectron2, "
            f"DLA-34, MobileNetV2); its tensors are called {examples}"
        )
    tensors = {_BOTTOM_UP + new: source[old] for old, new in names.items()}
    for name in [n for n in tensors if n.endswith(".norm.weight")]:
        norm = name.removesuffix("weight")
        tensors.setdefault(f"{norm}running_mean", torch.zeros_like(tensors[name]))
        tensors.setdefault(f"{norm}running_var", torch.ones_like(tensors[name]))
    return tensors


def _backbone_names(names: Iterable[str]) -> dict[str, str]:
    """Return {name in the file: name below `backbone.bottom_up.`}, without the classifier."""
    old = [n for n in names if not n.endswith("_momentum") and n != "weight_order"]
    new = old
    if "conv1_w" in new:
        new = [_rewritten(name, _CAFFE2_RULES) for name in new]
    elif any(_BOTTOM_UP in name for name in new):
        pairs = [(o, n) for o, n in zip(old, new, strict=True) if n.startswith(_BOTTOM_UP)]
        old, new = [o for o, _ in pairs], [n.removeprefix(_BOTTOM_UP) for _, n in pairs]
    kept = [(o, n) for o, n in zip(old, new, strict=True) if not _CLASSIFIER.match(n)]
    if not kept or any(n.split(".", 1)[0] not in _BACKBONE_PARTS for _, n in kept):
        return {}
    return _one_to_one([o for o, _ in kept], [n for _, n in kept])


def _with_our_prefix(name: str) -> str:
    for theirs, ours in _PREFIXES:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _rewritten(name: str, rules: Iterable[tuple[str, str | Callable[[re.Match[str]], str]]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _one_to_one(old: list[str], new: list[str]) -> dict[str, str]:
    seen: dict[str, str] = {}
    for o, n in zip(old, new, strict=True):
        if n in seen:
            raise ValueError(f"the tensors {seen[n]!r} and {o!r} are both our {n!r}")
        seen[n] = o
    return {o: n for n, o in seen.items()}
