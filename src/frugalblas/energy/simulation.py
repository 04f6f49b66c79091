"""A clock that a test moves, and counters that follow it exactly. Public through ``frugalblas.energy.testing``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Protocol

from .quantity import Reason
from .zones import Sample, Zone

NS = 1_000_000_000


class _Moves(Protocol):
    def move(self, t_ns: int) -> None:
        """Go on at the present power until ``t_ns``."""

    def skip(self, delta_ns: int) -> None:
        """The clock was set; no energy is used."""


class FakeClock:
    """A monotonic clock in nanoseconds; call it to read it."""

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        """Start at ``start_ns``; like a real one it has no meaning of its own."""
        self.now_ns = start_ns
        self.machines: list[_Moves] = []
        self._timers: list[_Timer] = []

    def __call__(self) -> int:
        """The time now (ns)."""
        return self.now_ns

    def every(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call ``call`` every ``seconds`` of simulated time; what is returned stops that. A Meter's ``every=``."""
        timer = _Timer(round(seconds * NS), self.now_ns + round(seconds * NS), call)
        self._timers.append(timer)
        return lambda: self._timers.remove(timer) if timer in self._timers else None

    @property
    def timers(self) -> int:
        """How many keepers are running."""
        return len(self._timers)

    def sleep(self, seconds: float) -> None:
        """Let time pass; ``time.sleep`` of the simulation."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass: all machines go on at their powers, and timers that fall due are called on the way."""
        end = self.now_ns + round(seconds * NS)
        while True:
            timer = min(self._timers, key=lambda timer: timer.due_ns, default=None)
            if timer is None or timer.due_ns > end:
                break
            self._move(timer.due_ns)
            timer.due_ns += timer.period_ns
            timer.call()
        self._move(end)

    def jump(self, seconds: float) -> None:
        """Set the clock, forward or back, while the machines stand still."""
        self.now_ns += round(seconds * NS)
        for machine in self.machines:
            machine.skip(round(seconds * NS))

    def _move(self, t_ns: int) -> None:
        self.now_ns = max(self.now_ns, t_ns)
        for machine in self.machines:
            machine.move(self.now_ns)


class _Timer:
    def __init__(self, period_ns: int, due_ns: int, call: Callable[[], None]) -> None:
        self.period_ns, self.due_ns, self.call = period_ns, due_ns, call


class FakeCounter:
    """A hardware counter: exact energy inside, shown in whole steps, at whole ticks, modulo its range."""

    def __init__(self, clock: FakeClock, *, lsb_uj: Fraction, tick_s: Fraction | float, modulus: int | None) -> None:
        """``modulus`` is in steps; None: it never wraps."""
        self.lsb_uj, self.modulus = lsb_uj, modulus
        self.tick_ns = round(Fraction(tick_s) * NS)
        self.watts = Fraction(0)
        self.energy_uj = Fraction(0)  # truly used since the start
        self.offset = 0  # steps shown before any was used
        self.frozen = False
        self.shown = 0  # steps at the last tick
        self._origin_ns = self._t_ns = clock.now_ns  # a tick falls here
        clock.machines.append(self)

    def move(self, t_ns: int) -> None:
        """Go on at the present power until ``t_ns``, and show the state of the last tick up to then."""
        per_ns = self.watts / 1000  # 1 W = 1e6 µJ / 1e9 ns
        tick_ns = t_ns - (t_ns - self._origin_ns) % self.tick_ns
        if tick_ns > self._t_ns and not self.frozen:
            self.shown = int((self.energy_uj + per_ns * (tick_ns - self._t_ns)) / self.lsb_uj)
        self.energy_uj += per_ns * (t_ns - self._t_ns)
        self._t_ns = t_ns

    def skip(self, delta_ns: int) -> None:
        """The clock was set; no energy is used."""
        self._origin_ns += delta_ns
        self._t_ns += delta_ns

    @property
    def steps(self) -> int:
        """What the register holds now."""
        total = self.offset + self.shown
        return total % self.modulus if self.modulus else total

    def set_steps(self, steps: int) -> None:
        """Make the register hold ``steps`` now."""
        self.offset = steps - self.shown


class FakeSource:
    """Registers without files: any zones, on a simulated clock.

    ``failing[zone id]`` is what its next reads raise; ``counters[zone id]`` is the register.
    """

    name, reason, hint = "fake", Reason.OK, ""

    def __init__(self, clock: FakeClock, zones: Sequence[Zone]) -> None:
        """Steps, ticks and ranges are those of the zones."""
        self.clock, self.zones = clock, list(zones)
        self.failing: dict[str, Exception] = {}
        self.closed = 0
        self.counters = {
            zone.id: FakeCounter(
                clock,
                lsb_uj=Fraction(zone.lsb_uj),
                tick_s=zone.tick_s,
                modulus=round(zone.modulus_uj / zone.lsb_uj) if zone.modulus_uj else None,
            )
            for zone in zones
        }

    def advance(self, seconds: float, watts: Mapping[str, float] | None = None) -> None:
        """Let time pass at these powers, by zone id; others stay as they are."""
        for id, value in (watts or {}).items():
            self.counters[id].watts = Fraction(value)
        self.clock.advance(seconds)

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """The registers now, or what is failing."""
        samples: dict[str, Sample | OSError] = {}
        for id in self.counters if ids is None else ids:
            error = self.failing.get(id)
            if error is not None and not isinstance(error, OSError):
                raise error
            counter = self.counters[id]
            samples[id] = error or Sample(self.clock(), int(counter.steps * counter.lsb_uj))
        return samples

    def close(self) -> None:
        """Count the calls."""
        self.closed += 1
