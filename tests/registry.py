"""What there is to test: every strategy of this build in every variant that runs here. Nothing below names a rung."""

import functools
from dataclasses import dataclass

import numpy as np

import frugalblas

# -ffast-math lets the compiler assume that no NaN and no infinity exists.
_FINITE_ONLY = ("-ffast-math", "-ffinite-math-only", "-Ofast")


@dataclass(frozen=True)
class Strategy:
    algo: str
    """What `algo=` is: "auto", "name" or "name@variant"."""
    kind: str
    """As `Algorithm.kind`; "auto" for auto."""
    flags: str
    """Compiler options of the variant; "" where there is none."""

    def __str__(self) -> str:
        return self.algo

    @property
    def interpreted(self) -> bool:
        return self.kind == "interpreted"

    @property
    def fixed_bits(self) -> bool:
        """Its bits do not depend on the thread count: promised for all but other people's libraries."""
        return self.kind != "passthrough"

    @property
    def keeps_nan(self) -> bool:
        return not any(flag in self.flags for flag in _FINITE_ONLY)

    @property
    def threads(self) -> tuple[int, ...]:
        return (1,) if self.interpreted else (1, 2, 3, 7)


def _strategies() -> list[Strategy]:
    flags = frugalblas.info()["build"]["variants"]
    found = [Strategy("auto", "auto", flags[frugalblas.info()["variant"]])]
    for rung in frugalblas.algorithms():
        if not rung.available:
            continue
        if rung.variants:
            found += [Strategy(f"{rung.name}@{v}", rung.kind, flags[v]) for v in rung.variants]
        else:
            found.append(Strategy(rung.name, rung.kind, ""))
    return found


STRATEGIES = _strategies()
# One of each rung, in the variant that a call without '@' gets, and auto.
RUNGS = [s for s in STRATEGIES if "@" not in s.algo or s.algo.partition("@")[2] == frugalblas.info()["variant"]]
COMPILED = [s for s in STRATEGIES if not s.interpreted]
THREADED = [s for s in COMPILED if s.fixed_bits]


@functools.cache
def own_blocks(algo: str) -> dict[str, int]:
    """The largest MR, NR, MC, KC, NC that a strategy cuts a job into; empty if it has none of its own."""
    endless = np.broadcast_to(np.float32(0), (2**20, 2**20))  # sizes without memory: nothing is computed
    return frugalblas.explain(endless, endless, algo=algo)["blocks"]


def blocks(algo: str) -> dict[str, int]:
    """Those of "auto" where a strategy has none of its own."""
    return {**own_blocks("auto"), **own_blocks(algo)}
