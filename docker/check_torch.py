"""Says why an environment cannot be that of the wanted variant, before anything is built on it."""

from __future__ import annotations

import sys


def fault(variant: str) -> str | None:
    """Return what is wrong with the installed torch, or None."""
    import torch

    if variant not in ("cpu", "cuda"):
        return f"VARIANT is cpu or cuda, not {variant!r}"
    if variant == "cpu" and torch.version.cuda:
        return (
            f"torch {torch.__version__} is a build for CUDA; give TORCH_INDEX the address that "
            "PyTorch's installation page shows for CPUs"
        )
    if variant == "cuda" and not torch.version.cuda:
        return f"torch {torch.__version__} is a build for CPUs; set VARIANT=cpu"
    import torchvision  # noqa: F401  # fails unless it was built for this very torch

    return None


if __name__ == "__main__":
    sys.exit(fault(sys.argv[1]))
