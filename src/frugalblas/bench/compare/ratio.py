"""The ratio of two medians with an interval that assumes nothing of how samples are distributed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from frugalblas.energy.quantity import Quantity

LEVEL = 0.95
NORMAL_95 = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True)
class Interval:
    """A ratio with the interval that holds the true one with at least this probability."""

    value: float
    low: float
    high: float
    coverage: float  # below LEVEL where there are too few samples for more

    @property
    def verdict(self) -> str:
        """What may be said of it. An interval of less coverage that holds 1 would hold it with more, too."""
        if self.low <= 1 <= self.high:
            return "no difference"
        if self.coverage < LEVEL:
            return "too few samples"
        return "more" if self.value > 1 else "less"


def median_interval(samples: Sequence[float], level: float) -> tuple[float, float, float]:
    """The narrowest pair of order statistics (k-th from both ends) that covers the median, and how probably it does.

    The k-th smallest of n and the k-th largest miss the median with probability 2·P(Bin(n, 1/2) < k) (David and
    Nagaraja, Order Statistics, section 7.1). With too few samples for `level`, the two extremes.
    """
    ordered = sorted(samples)
    n = len(ordered)

    def missed(k: int) -> float:
        return 2.0 * sum(math.comb(n, i) for i in range(k)) / 2.0**n

    k = 1
    while 2 * (k + 1) <= n + 1 and missed(k + 1) <= 1 - level:
        k += 1
    return ordered[k - 1], ordered[n - k], max(0.0, 1 - missed(k))


def ratio_of_medians(a: Sequence[float], b: Sequence[float]) -> Interval:
    """median(a) / median(b). Each median misses its interval with at most half of 1 - LEVEL, so both hold with LEVEL.

    The samples of two files were never interleaved: the interval covers their scatter within each run, and neither a
    drift within a run nor what the two runs did not share.
    """
    each = 1 - (1 - LEVEL) / 2
    low_a, high_a, coverage_a = median_interval(a, each)
    low_b, high_b, coverage_b = median_interval(b, each)
    value = statistics.median(a) / statistics.median(b)
    return Interval(value, low_a / high_b, high_a / low_b, max(0.0, coverage_a + coverage_b - 1))


def ratio_of_quantities(a: Quantity, b: Quantity) -> Interval:
    """a / b for independent normal errors, to first order."""
    value = a.value / b.value
    half = NORMAL_95 * value * math.hypot(a.relative_u, b.relative_u)
    return Interval(value, value - half, value + half, LEVEL)
