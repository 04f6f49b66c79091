"""Which products are compared: groups of shapes, and what a command line may ask for."""

from __future__ import annotations

import itertools
import math
import random
from typing import NamedTuple

LAYOUTS = ("NN", "NT", "TN", "TT")


class Shape(NamedTuple):
    """C (M,N) = A (M,K) · B (K,N)."""

    M: int
    N: int
    K: int

    def __str__(self) -> str:
        return f"{self.M}x{self.N}x{self.K}"

    @property
    def flops(self) -> int:
        return 2 * self.M * self.N * self.K

    @property
    def bytes(self) -> int:
        """Every operand read or written once."""
        return 4 * (self.M * self.K + self.K * self.N + self.M * self.N)

    @property
    def is_gemv(self) -> bool:
        return 1 in (self.M, self.N)


def parse(text: str) -> list[Shape]:
    """`2048,16x4096x4096`: a cube by its side, anything else as MxNxK."""
    shapes = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            sides = [int(side) for side in part.lower().split("x")]
        except ValueError:
            sides = []
        if len(sides) not in (1, 3) or min(sides) < 1:
            raise ValueError(f"shape {part!r}: expected a side such as 2048 or MxNxK such as 16x4096x4096")
        shapes.append(Shape(*(sides * 3 if len(sides) == 1 else sides)))
    return shapes


def _cubes(*sides: int) -> list[Shape]:
    return [Shape(n, n, n) for n in sides]


def drawn(count: int, seed: int = 20260) -> list[Shape]:
    """Products that nobody chose: each side log-uniform from 1 to 3000, from 2e4 flops to 6e8."""
    source, found = random.Random(seed), list[Shape]()
    while len(found) < count:
        shape = Shape(*(round(math.exp(source.uniform(0, math.log(3000)))) for _ in range(3)))
        if 2e4 <= shape.flops <= 6e8 and shape not in found:
            found.append(shape)
    return found


THIN = (1, 2, 4, 16, 64)
WIDE = (512, 2048, 4096, 8192)

# Layers as (rows, outputs, inputs): what nn.Linear and im2col hand to sgemm.
TRANSFORMER = [
    Shape(128, 768, 768), Shape(128, 3072, 768), Shape(128, 768, 3072),      # BERT base, 128 tokens
    Shape(512, 2304, 768), Shape(512, 3072, 768),                            # GPT-2: QKV and MLP, 512 tokens
    Shape(128, 4096, 4096), Shape(128, 11008, 4096), Shape(512, 4096, 4096),  # a 7B model
    Shape(512, 512, 64), Shape(512, 64, 512),                                # one attention head: scores, values
]  # fmt: skip
CONVOLUTION = [
    Shape(64, 12544, 147),                                                   # ResNet-50 conv1, 7x7x3 to 112x112
    Shape(64, 3136, 576), Shape(256, 3136, 64),                              # stage 2: 3x3 and 1x1
    Shape(128, 784, 1152), Shape(512, 784, 128),                             # stage 3
    Shape(256, 196, 2304), Shape(1024, 196, 256),                            # stage 4
    Shape(512, 49, 4608), Shape(2048, 49, 512),                              # stage 5
    Shape(32, 12544, 27),                                                    # MobileNet's first layer
]  # fmt: skip

GROUPS: dict[str, list[Shape]] = {
    "squares": _cubes(64, 100, 128, 256, 257, 512, 1000, 1024, 1920, 2048, 3000, 4096),
    "skinny_m": [Shape(thin, wide, wide) for thin, wide in itertools.product(THIN, WIDE)],
    "skinny_n": [Shape(wide, thin, wide) for thin, wide in itertools.product(THIN, WIDE)],
    "skinny_k": [Shape(wide, wide, thin) for thin, wide in itertools.product(THIN, WIDE)],
    "deep": [Shape(n, n, k) for n, k in itertools.product((4, 16, 32, 64), (4096, 16384, 65536))]
    + [Shape(1, 1, 65536), Shape(16, 64, 65536), Shape(64, 16, 65536)],
    "layers": TRANSFORMER + CONVOLUTION,
    "odd": [
        *_cubes(61, 127, 251, 509, 761, 1021),
        Shape(61, 509, 1021),
        Shape(1021, 61, 509),
        Shape(509, 1021, 61),
        Shape(127, 1021, 251),
        Shape(997, 997, 61),
    ],
}
GROUPS["random"] = drawn(60)
GROUPS["forced"] = _cubes(256, 512, 1024, 2048) + TRANSFORMER[:3] + CONVOLUTION[1:4] + _cubes(251, 509, 1021)

# Products as Python programs call them: NumPy and torch in one process with ours.
GROUPS["small"] = [
    *_cubes(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96),
    *(Shape(1, 16, 16), Shape(1, 96, 96), Shape(96, 1, 96), Shape(3, 3, 64), Shape(4, 96, 32), Shape(96, 16, 8)),
]
GROUPS["batches"] = [*_cubes(16, 24, 32, 48, 64, 96), Shape(16, 64, 32), Shape(64, 64, 16)]
# B packed beforehand, as weights are that serve many calls; the peers get it as it is.
GROUPS["packed"] = [Shape(rows, n, k) for n, k in ((4096, 4096), (3072, 768), (1024, 1024)) for rows in (1, 4, 16, 64)]
BATCH_COUNTS = (16, 256)
CALL_SIDES = (4, 16, 32, 48, 64, 96)

QUICK: dict[str, list[Shape]] = {
    "squares": _cubes(256, 1024, 2048),
    "skinny_m": [Shape(1, 4096, 4096), Shape(16, 4096, 4096)],
    "skinny_n": [Shape(4096, 1, 4096), Shape(4096, 16, 4096)],
    "skinny_k": [Shape(4096, 4096, 1), Shape(4096, 4096, 16)],
    "deep": [Shape(32, 32, 32768), Shape(4, 4, 65536)],
    "layers": [Shape(128, 768, 3072), Shape(64, 3136, 576)],
    "odd": [*_cubes(127, 509), Shape(127, 1021, 251)],
    "random": drawn(6),
    "forced": [*_cubes(512, 1024), Shape(128, 768, 3072)],
    "small": _cubes(1, 4, 16, 32, 64, 96),
    "batches": _cubes(16, 48, 96),
    "packed": [Shape(16, 4096, 4096)],
}
