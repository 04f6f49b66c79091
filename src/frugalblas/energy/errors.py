"""What can go wrong with a joule."""

from __future__ import annotations

import math


class EnergyUnavailable(RuntimeError):
    """Nothing here can measure what was asked for; the message lists every counter tried and why it is of no use."""


class CounterFault(RuntimeError):
    """A counter failed during the window: a read error, a step back, a freeze, an impossible jump."""


class BelowResolution(ValueError):
    """The energy cannot be told from zero with this window: ``value < 2 u``, or a counter did not tick at all.

    ``upper_bound_j``: the energy was less than this (J). ``needed_s``: shortest window for which it could be told from
    zero at the same power (s); infinite if no window helps, e.g. when the idle power is not known well enough.
    """

    def __init__(self, message: str, *, upper_bound_j: float, needed_s: float = math.inf) -> None:
        """Message, bound (J) and window (s)."""
        super().__init__(message)
        self.upper_bound_j = upper_bound_j
        self.needed_s = needed_s
