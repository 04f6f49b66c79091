"""One window of the protocol: work between two readings, with the state of the machine recorded beside it."""

from __future__ import annotations

from collections.abc import Callable

from .conditions import Machine, foreign_share
from .errors import BelowResolution
from .meter import Meter
from .results import Block

REST_TICKS = 2.0  # more than one, for ticks are not regular
ASLEEP_SHARE = 0.1  # of one CPU: below it, this process's worker threads sleep
ASLEEP_PROBE_S, ASLEEP_PROBES = 0.02, 50


class Windows:
    """Measures windows with one meter on one machine, and knows what has been spent since it was made."""

    def __init__(self, meter: Meter, machine: Machine, sync: Callable[[], object] | None = None) -> None:
        """`sync` waits for a GPU's queue. A region of the meter must be open while windows are measured."""
        self.meter, self.machine, self.sync = meter, machine, sync
        self._first_uj: int | None = None

    def measure(
        self,
        name: str,
        calls: int,
        work: Callable[[], object],
        *,
        lead_in: Callable[[], object] | None = None,
        rests: bool = False,
    ) -> Block:
        """Run `work` between two readings.

        The counter shows at its next tick what was used since the last: a window misses the last part of a tick at its
        end, and holds another from before its start. The two cancel if the power is the same right before the window as
        within it: `lead_in` sees to that, after the state of the machine was read. Or if both are idle power: `lead_in`
        is a rest of more than a tick, and with `rests` another one ends the window.
        """
        rest_ns, clock = 0, self.meter.clock
        state, before, before_ns = self.machine.state(), self.machine.cpu_time(), clock()
        if lead_in is not None:
            lead_in()
        with self.meter.region(name, sync=self.sync) as reading:
            work()
            if rests:
                ended_ns = clock()
                self.machine.sleep(REST_TICKS * self.meter.tick_s)
                rest_ns = clock() - ended_ns
        watched_s = (clock() - before_ns) / 1e9
        after, problem = self.machine.cpu_time(), reading.problem
        energy = reading.gross if problem is None else None
        return Block(
            name=name,
            calls=calls,
            started_ns=reading.started_ns,
            ended_ns=reading.ended_ns,
            energy=energy,
            problem=str(problem) if problem else "; ".join(self.meter.selection.missing),
            bound_j=problem.upper_bound_j if isinstance(problem, BelowResolution) else None,
            state=state,
            foreign_share=foreign_share(before, after, watched_s, self.machine.cpus),
            rest_s=rest_ns / 1e9,
        )

    def rest(self, name: str, seconds: float) -> Block:
        """A window in which this program waits, and has waited for more than a tick before."""
        before_s = REST_TICKS * self.meter.tick_s
        sleep = self.machine.sleep
        return self.measure(name, 0, lambda: sleep(seconds), lead_in=lambda: sleep(before_s))

    def repeat(self, work: Callable[[], object], calls: int) -> None:
        """So many calls, and the end of what they queued."""
        for _ in range(calls):
            work()
        if self.sync is not None:
            self.sync()

    def wait_until_asleep(self) -> bool:
        """Wait until this process uses next to no CPU; whether it came to that within a second.

        OpenMP and BLAS teams spin for a while after their work. It is seen in the process's own CPU time, so that this
        module needs to know none of them.
        """
        for _ in range(ASLEEP_PROBES):
            before_s, before_ns = self.machine.cpu_time().own_s, self.meter.clock()
            self.machine.sleep(ASLEEP_PROBE_S)
            used_s, seconds = self.machine.cpu_time().own_s - before_s, (self.meter.clock() - before_ns) / 1e9
            if used_s <= ASLEEP_SHARE * seconds:
                return True
        return False

    def spent_j(self) -> float:
        """Joules of all zones since this was first asked."""
        total_uj = sum(mark.total_uj for mark in self.meter.snapshot().marks.values())
        if self._first_uj is None:
            self._first_uj = total_uj
        return (total_uj - self._first_uj) * 1e-6
