"""Cells of the feature maps: where a loss reads the network's predictions."""
# N pictures, P cells, C channels, h and w rows and columns of a level

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Cells:
    """P locations in the order level, picture, row, column.

    counts: how many there are on each level, finest first.
    images, rows, columns: (P,) int64.
    """

    counts: list[int]
    images: Tensor
    rows: Tensor
    columns: Tensor

    def by_level(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield (images, rows, columns) of each level, empty ones too."""
        parts = (
            torch.split(values, self.counts) for values in (self.images, self.rows, self.columns)
        )
        return zip(*parts, strict=True)

    def of(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (P, C): what the levels' maps, (N, C, h, w) each, hold at the cells."""
        return torch.cat(
            [
                values[images, :, rows, columns]
                for values, (images, rows, columns) in zip(maps, self.by_level(), strict=True)
            ]
        )

    def where(self, kept: Tensor) -> Cells:
        """Return the cells at which `kept`, (P,) bool, is true."""
        return Cells(
            counts=[int(part.sum()) for part in torch.split(kept, self.counts)],
            images=self.images[kept],
            rows=self.rows[kept],
            columns=self.columns[kept],
        )
