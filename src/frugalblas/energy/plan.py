"""What a measurement will do: its settings, the length of its windows, the order of its blocks, and what is steady.

Pure arithmetic: nothing here reads a counter or a clock.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .resolution import UNIFORM_ENDS
from .statistics import theil_sen

IDLE = "(idle)"  # the name of idle blocks; no case may be called so

TICKS_PER_WINDOW = 50.0  # with fewer, an irregular tick shows
LEAST_WINDOW_S = 0.2
LEAST_BLOCKS = 3  # an interval from two has a t of 12.7
STEADY_BLOCKS = 5
STEADY_POWER = 0.01  # of the mean, over the last STEADY_BLOCKS
STEADY_SECONDS = 0.02  # of the mean time per call, where there is neither power nor temperature
STEADY_CELSIUS = 0.5
TRIVIAL = 0.2  # of these tolerances
WARMUP_JOULES_SHARE = 0.25  # of max_joules


@dataclass(frozen=True)
class Settings:
    """How to measure; every function of the protocol takes these as keywords.

    state: "hot" warms up until steady; "cold" cools down before every call. rel_u: target for the standard
    uncertainty of one block that the counter's tick causes. blocks: of each case, and of idle. max_seconds: of all
    blocks together, warm-up, cool-downs and trace not counted. max_joules: of everything. max_warmup_s: of the warm-up,
    or of each cool-down. idle_s: length of an idle block. idle_share: of the idle power that `amortised` charges to
    the calls (1.0: the machine runs for them alone). trace: also record power against time, in a pass of its own.
    probe_s: how long the counters are watched first for their true tick (0: take it from the source). seed: of the
    order of the blocks. Raises ValueError.
    """

    state: Literal["hot", "cold"] = "hot"
    rel_u: float = 0.01
    blocks: int = 7
    max_seconds: float = 30.0
    max_joules: float | None = None
    max_warmup_s: float = 20.0
    idle_s: float = 1.0
    idle_share: float = 1.0
    trace: bool = True
    probe_s: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.state not in ("hot", "cold"):
            raise ValueError(f"state is {self.state!r}; it must be 'hot' or 'cold'")
        if not 1e-5 <= self.rel_u <= 0.5:
            raise ValueError(f"rel_u is {self.rel_u!r}; it must lie between 1e-5 and 0.5")
        if self.blocks < LEAST_BLOCKS:
            raise ValueError(f"blocks is {self.blocks!r}; an interval needs at least {LEAST_BLOCKS}")
        if not 0.0 <= self.idle_share <= 1.0:
            raise ValueError(f"idle_share is {self.idle_share!r}; it must lie between 0 and 1")
        for name in ("max_seconds", "max_joules", "idle_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} is {value!r}; it must be positive")
        for name in ("max_warmup_s", "probe_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} is {value!r}; it must be 0 or more")


@dataclass(frozen=True)
class Schedule:
    """Calls per window of each case, blocks of everything, and what had to give to fit into `max_seconds`."""

    calls: Mapping[str, int]
    blocks: int
    idle_s: float
    flags: frozenset[str]


def least_window_s(tick_s: float, rel_u: float) -> float:
    """The shortest window whose energy has a relative standard uncertainty of at most `rel_u` from its two ends.

    u/E = sqrt(2/12) tick/T, for ends that fall anywhere within a tick; at least 50 ticks and 0.2 s.
    """
    return max(TICKS_PER_WINDOW * tick_s, UNIFORM_ENDS * tick_s / rel_u, LEAST_WINDOW_S)


def schedule(call_s: Mapping[str, float], tick_s: float, settings: Settings) -> Schedule:
    """Windows and blocks that reach the target if they fit into `max_seconds`, else the best that does.

    Windows shrink first, down to a single call; then blocks are dropped, down to 3. Raises ValueError with the time
    that is needed if even that is too long.
    """
    flags = set()
    idle_s = max(settings.idle_s, TICKS_PER_WINDOW * tick_s)
    target_s = least_window_s(tick_s, settings.rel_u)
    if settings.state == "cold":  # a second call would be a hot one
        target_s = 0.0
        if any(UNIFORM_ENDS * tick_s / seconds > settings.rel_u for seconds in call_s.values()):
            flags.add("target-missed")

    def round_s(window_s: float) -> float:
        return idle_s + sum(max(window_s, seconds) for seconds in call_s.values())

    blocks = settings.blocks
    if blocks * round_s(target_s) > settings.max_seconds:
        low, high = 0.0, target_s
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if blocks * round_s(middle) <= settings.max_seconds else (low, middle)
        if low < target_s:
            flags.add("target-missed")
            target_s = low
    if blocks * round_s(target_s) > settings.max_seconds * (1 + 1e-9):
        blocks = int(settings.max_seconds / round_s(0.0))
        flags.add("fewer-blocks")
        if blocks < LEAST_BLOCKS:
            raise ValueError(
                f"max_seconds is {settings.max_seconds:g}, and {LEAST_BLOCKS} blocks of one call each and of idle take "
                f"{LEAST_BLOCKS * round_s(0.0):.3g} s"
            )
    calls = {name: max(1, math.ceil(target_s / seconds - 1e-9)) for name, seconds in call_s.items()}
    return Schedule(calls, blocks, idle_s, frozenset(flags))


def order(names: Sequence[str], blocks: int, seed: int) -> list[str]:
    """`blocks` rounds, each with every case and one idle block in a random order of its own: drift hits all alike."""
    generator = random.Random(seed)
    rounds = []
    for _ in range(blocks):
        names_of_round = [*names, IDLE]
        generator.shuffle(names_of_round)
        rounds += names_of_round
    return rounds


def is_steady(seconds: Sequence[float], values: Sequence[float], *, tolerance: float) -> bool:
    """Whether the last 5 values have no trend that matters.

    Theil-Sen's slope must move them by less than `tolerance` over their span, and its interval must hold 0, unless the
    move is trivial: a quiet counter shows a trend long after it has stopped to matter.
    """
    if len(values) < STEADY_BLOCKS:
        return False
    seconds, values = seconds[-STEADY_BLOCKS:], values[-STEADY_BLOCKS:]
    slope = theil_sen(seconds, values)
    move = abs(slope.value) * (seconds[-1] - seconds[0])
    return move < TRIVIAL * tolerance or (slope.contains_zero and move < tolerance)


@dataclass(frozen=True)
class Warmth:
    """One warm-up block: when it was, and what it showed of whether the machine still changes."""

    t_s: float
    watts: float | None
    temperature_c: float | None
    call_s: float


def warm(history: Sequence[Warmth]) -> bool:
    """Whether power and temperature are steady; where there is neither, whether the time per call is."""
    times = [block.t_s for block in history]
    watts = [block.watts for block in history[-STEADY_BLOCKS:] if block.watts is not None]
    celsius = [block.temperature_c for block in history[-STEADY_BLOCKS:] if block.temperature_c is not None]
    if len(history) < STEADY_BLOCKS:
        return False
    verdicts = []
    if len(watts) == STEADY_BLOCKS:
        verdicts.append(is_steady(times, watts, tolerance=STEADY_POWER * sum(watts) / len(watts)))
    if len(celsius) == STEADY_BLOCKS:
        verdicts.append(is_steady(times, celsius, tolerance=STEADY_CELSIUS))
    if not verdicts:
        calls = [block.call_s for block in history]
        recent = calls[-STEADY_BLOCKS:]
        verdicts.append(is_steady(times, calls, tolerance=STEADY_SECONDS * sum(recent) / len(recent)))
    return all(verdicts)
