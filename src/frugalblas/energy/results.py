"""What the protocol hands back: blocks, figures with their intervals, one result per case, and a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .conditions import State
from .errors import BelowResolution
from .plan import Settings, Warmth
from .quantity import Quantity
from .statistics import t_quantile
from .wattlog import ClockPair, WattLog

SCHEMA = "frugalblas.energy/1"

Basis = Literal["net", "gross", "amortised"]


@dataclass(frozen=True)
class Estimate(Quantity):
    """A mean over blocks: a Quantity whose `u` was itself estimated, with `dof` degrees of freedom."""

    dof: float = math.inf

    def ci(self, level: float = 0.95) -> tuple[float, float]:
        """The t-interval that holds the true value with probability `level`."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"level must lie between 0 and 1, not {level}")
        half = t_quantile(0.5 + level / 2, self.dof) * self.u if self.u else 0.0
        return self.value - half, self.value + half

    def scaled(self, factor: float, unit: str) -> Estimate:
        """The same in another unit, by an exact factor."""
        return Estimate(self.value * factor, self.u * abs(factor), unit, self.provenance, self.source, self.dof)

    def inverted(self, factor: float, unit: str) -> Estimate:
        """`factor` / this, to first order. The interval of the inverse is symmetric, so keep to small u."""
        value = factor / self.value
        u = abs(value) * self.relative_u
        plain = self.derived(value, u, unit)
        return Estimate(plain.value, plain.u, unit, plain.provenance, plain.source, self.dof)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: a Quantity's fields, dof (None: infinite) and ci95."""
        dof = self.dof if math.isfinite(self.dof) else None
        return {**super().as_dict(), "dof": dof, "ci95": list(self.ci())}


@dataclass(frozen=True)
class Block:
    """One window: so many calls of one case, or idle."""

    name: str
    calls: int  # 0: idle
    started_ns: int  # on the meter's monotonic clock
    ended_ns: int
    energy: Quantity | None  # gross (J)
    problem: str = ""  # why there is no energy
    bound_j: float | None = None  # the energy was less than this, if it was too small to tell
    state: State = field(default_factory=State)  # of the machine, just before
    foreign_share: float | None = None  # of all CPUs, used by other processes meanwhile
    rest_s: float = 0.0  # at its end, in which nothing ran: so that the last tick of a single call is in it

    @property
    def seconds(self) -> float:
        """Its length, with the rest."""
        return (self.ended_ns - self.started_ns) / 1e9

    @property
    def call_s(self) -> float:
        """Seconds per call."""
        return (self.seconds - self.rest_s) / self.calls

    @property
    def power_w(self) -> float | None:
        """Mean gross power, if there is energy."""
        return None if self.energy is None else self.energy.value / self.seconds

    def as_dict(self, origin_ns: int) -> dict[str, Any]:
        """For JSON; times in seconds since `origin_ns`."""
        return {
            "name": self.name,
            "calls": self.calls,
            "start_s": (self.started_ns - origin_ns) / 1e9,
            "seconds": self.seconds,
            "rest_s": self.rest_s,
            "energy": self.energy.as_dict() if self.energy else None,
            "problem": self.problem or None,
            "bound_j": self.bound_j,
            "state": self.state.as_dict(),
            "foreign_share": self.foreign_share,
        }


@dataclass(frozen=True)
class TracePoint:
    """Mean power between two ticks of the source."""

    t_s: float  # of the later one, since the measurement began
    watts: float


@dataclass(frozen=True)
class BenchResult:
    """What one case costs per call. A figure that could not be had is None, and `problem` says why.

    `net` = gross - P_idle x time; `amortised` = net + idle_share x P_idle x time. `flags`: see docs/energy.md.
    """

    name: str
    time: Estimate | None  # s per call
    gross: Estimate | None  # J per call
    net: Estimate | None  # J per call: the headline
    amortised: Estimate | None  # J per call
    power: Estimate | None  # W, gross, while it runs; None for the cold state, where windows hold a rest
    flops: float | None  # per call
    calls: int  # in all blocks
    blocks: tuple[Block, ...]
    flags: frozenset[str]
    problem: str = ""
    below: BelowResolution | None = None  # upper bound of the joules per call, where they cannot be told from zero
    trace: tuple[TracePoint, ...] = ()

    def joules(self, basis: Basis = "net") -> Estimate:
        """J per call. Raises BelowResolution with the upper bound, or ValueError with the reason, if there is none."""
        found: Estimate | None = getattr(self, basis)
        if found is not None:
            return found
        if self.below is not None:
            raise self.below
        raise ValueError(f"no {basis} energy for {self.name!r}: {self.problem or 'not measured'}")

    def gflops_per_watt(self, basis: Basis = "net") -> Estimate:
        """GFLOP/s per W, that is 1e-9 x flops / J. Raises like :meth:`joules`; ValueError if flops are not known."""
        return self.joules(basis).inverted(1e-9 * self._flops(), "GFLOP/s/W")

    def pj_per_flop(self, basis: Basis = "net") -> Estimate:
        """1e12 x J / flops. Raises like :meth:`gflops_per_watt`."""
        return self.joules(basis).scaled(1e12 / self._flops(), "pJ/flop")

    def _flops(self) -> float:
        if self.flops is None:
            raise ValueError(f"the flops of {self.name!r} are not known: pass flops=")
        return self.flops


@dataclass(frozen=True)
class Comparison:
    """All cases of one interleaved measurement."""

    results: Mapping[str, BenchResult]
    idle: Estimate | None  # W
    idle_blocks: tuple[Block, ...]
    settings: Settings
    scope: str
    zones: tuple[dict[str, Any], ...]  # id, domain, backend, tick_s of each
    flags: frozenset[str]
    reason: str  # why there are no joules at all; "" if there are some
    cost: Quantity | None  # J that the whole measurement used, warm-up and all
    seconds: float  # it took
    began: ClockPair
    warmup: Sequence[Warmth] = ()
    trace: Mapping[str, Sequence[TracePoint]] = field(default_factory=dict)  # by case, and "(idle)"

    def __getitem__(self, name: str) -> BenchResult:
        """The result of a case."""
        return self.results[name]

    def pareto(self, basis: Basis = "net") -> list[str]:
        """The cases that no other beats, in time and joules per call, fastest first.

        A case is beaten only by one whose interval (95 %) lies below its own in one of the two and whose mean is no
        larger in the other: differences within the uncertainty are ties. Cases without joules are left out.
        """
        known = [r for r in self.results.values() if r.time is not None and getattr(r, basis) is not None]

        def beats(a: BenchResult, b: BenchResult) -> bool:
            pairs = [(a.time, b.time), (getattr(a, basis), getattr(b, basis))]
            no_worse = all(x.value <= y.value for x, y in pairs)
            return no_worse and any(x.ci()[1] < y.ci()[0] for x, y in pairs)

        front = [b for b in known if not any(beats(a, b) for a in known)]
        return [r.name for r in sorted(front, key=lambda r: r.time.value if r.time else 0.0)]

    def with_watt_log(self, log: WattLog, *, clock_u_s: float | None = None) -> Comparison:
        """The same blocks with the joules of a wattmeter's log, read after the run and matched by clock."""
        from .analysis import with_watt_log

        return with_watt_log(self, log, clock_u_s=clock_u_s)

    def table(self) -> str:
        """A plain text table, with its caveats."""
        from .report import table

        return table(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        from .report import to_dict

        return to_dict(self)

    def to_json(self) -> str:
        """:meth:`to_dict` as text."""
        from .report import to_json

        return to_json(self)

    def to_csv(self) -> str:
        """One line per case; empty cells where there is no figure."""
        from .report import to_csv

        return to_csv(self)
