"""Before the blocks: learn how long a call takes, then bring the machine to the state asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from .analysis import idle_power
from .blocks import REST_TICKS, Windows
from .plan import (
    IDLE,
    LEAST_BLOCKS,
    LEAST_WINDOW_S,
    STEADY_CELSIUS,
    STEADY_POWER,
    TICKS_PER_WINDOW,
    WARMUP_JOULES_SHARE,
    Settings,
    Warmth,
    warm,
)
from .results import Block

CALIBRATION_S = 0.02  # calls are timed until they add up to this

Works = Mapping[str, Callable[[], object]]


def calibrate(windows: Windows, work: Callable[[], object]) -> float:
    """Seconds per call, after a first one that may have to compile. Raises what `work` raises."""
    windows.repeat(work, 1)
    calls = 1
    while True:
        started_ns = windows.meter.clock()
        windows.repeat(work, calls)
        seconds = max(windows.meter.clock() - started_ns, 1) / 1e9
        if seconds >= CALIBRATION_S:
            return seconds / calls
        calls = max(calls + 1, min(100 * calls, int(1.2 * calls * CALIBRATION_S / seconds) + 1))


def warm_up(
    windows: Windows, works: Works, call_s: Mapping[str, float], settings: Settings
) -> tuple[list[Warmth], bool]:
    """Rounds of all cases until power and temperature are steady, or a cap is reached; the rounds, and whether it was.

    Raises what a case raises.
    """
    clock, history = windows.meter.clock, list[Warmth]()
    share_s = max(TICKS_PER_WINDOW * windows.meter.tick_s, LEAST_WINDOW_S) / len(call_s)
    calls = {name: max(1, round(share_s / seconds)) for name, seconds in call_s.items()}

    def all_cases() -> None:
        for name, count in calls.items():
            windows.repeat(works[name], count)

    started_ns = clock()
    while not warm(history):
        too_much = settings.max_joules and windows.spent_j() > WARMUP_JOULES_SHARE * settings.max_joules
        if too_much or (clock() - started_ns) / 1e9 >= settings.max_warmup_s:
            return history, False
        block = windows.measure("(warm-up)", sum(calls.values()), all_cases)
        history.append(
            Warmth(
                t_s=(block.ended_ns - started_ns) / 1e9,
                watts=block.power_w,
                temperature_c=windows.machine.state().temperature_c,
                call_s=block.seconds / block.calls,
            )
        )
    return history, True


class Cold:
    """The machine at rest before any work, and the way back to it."""

    def __init__(self, windows: Windows, settings: Settings) -> None:
        """Rest for three idle blocks, and remember power and temperature."""
        self._windows, self._settings = windows, settings
        self._idle_s = max(settings.idle_s, TICKS_PER_WINDOW * windows.meter.tick_s)
        windows.wait_until_asleep()
        self._power, _ = idle_power([windows.rest(IDLE, self._idle_s) for _ in range(LEAST_BLOCKS)])
        self._celsius = windows.machine.state().temperature_c

    def restore(self) -> bool:
        """Rest until power and temperature are back, then flush the caches; False if `max_warmup_s` was not enough."""
        windows, started_ns = self._windows, self._windows.meter.clock()
        windows.machine.sleep(REST_TICKS * windows.meter.tick_s)  # what was used before shows at the next tick
        while not self._is_cold(windows.rest(IDLE, self._idle_s)):
            if (windows.meter.clock() - started_ns) / 1e9 >= self._settings.max_warmup_s:
                windows.machine.flush_caches()
                return False
        windows.machine.flush_caches()
        return True

    def _is_cold(self, rest: Block) -> bool:
        celsius, before = self._windows.machine.state().temperature_c, self._power
        if celsius is not None and self._celsius is not None and celsius > self._celsius + STEADY_CELSIUS:
            return False
        if before is None or rest.energy is None:
            return True
        now = rest.energy * (1.0 / rest.seconds)
        return now.value <= before.value + max(2.0 * math.hypot(now.u, before.u), STEADY_POWER * before.value)
