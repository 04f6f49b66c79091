"""Matrices that lie in memory in every way NumPy can express, between canaries.

Memory that is no element holds a NaN that no arithmetic makes: a rung that reads it spoils its result, and one that
overwrites it is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

CANARY = np.array([0x7FC0CAFE], np.uint32).view(np.float32)[0]
GUARD = 67  # floats on either side of a matrix: four of the widest registers and, being odd, never aligned to one

# Strides in elements (row, column) of a (rows, cols) matrix.
OUT_LAYOUTS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "C order": lambda rows, cols: (cols, 1),
    "F order": lambda rows, cols: (1, rows),
    "slice of wider rows": lambda rows, cols: (cols + 3, 1),
    "slice of longer columns": lambda rows, cols: (1, rows + 5),
    "every second column": lambda rows, cols: (2 * cols + 1, 2),
    "every third row, F order": lambda rows, cols: (3, 3 * rows + 1),
    "reversed": lambda rows, cols: (-cols, -1),
    "rows reversed": lambda rows, cols: (-cols, 1),
    "columns reversed, F order": lambda rows, cols: (1, -rows),
}
# Operands may also repeat themselves.
LAYOUTS = {
    **OUT_LAYOUTS,
    "equal rows": lambda rows, cols: (0, 1),
    "equal columns": lambda rows, cols: (1, 0),
    "one element": lambda rows, cols: (0, 0),
}


@dataclass(frozen=True)
class Placed:
    """A matrix and the memory around it."""

    view: Any
    memory: Any
    outside: Any
    """Which elements of `memory` are not part of the matrix."""

    def stray_writes(self) -> int:
        return int(np.count_nonzero(self.memory.view(np.uint32)[self.outside] != CANARY.view(np.uint32)))


def _view(memory, origin: int, shape: tuple[int, int], strides: tuple[int, int]):
    return as_strided(memory[origin:], shape, tuple(memory.itemsize * s for s in strides))


def place(values, layout: str) -> Placed:
    """`values` in this layout; where elements share an address, the last one written counts for all."""
    rows, cols = values.shape
    strides = LAYOUTS[layout](rows, cols)
    reach = [(n - 1) * s for n, s in zip(values.shape, strides, strict=True)]
    origin = GUARD - sum(r for r in reach if r < 0)
    memory = np.full(2 * GUARD + sum(abs(r) for r in reach) + 1, CANARY)
    outside = np.ones(memory.shape, bool)
    view = _view(memory, origin, values.shape, strides)
    view[...] = values
    _view(outside, origin, values.shape, strides)[...] = False
    return Placed(view, memory, outside)


def place_blank(rows: int, cols: int, layout: str) -> Placed:
    """A matrix of NaN: what `out` should hold when nobody may read it."""
    return place(np.full((rows, cols), CANARY), layout)
