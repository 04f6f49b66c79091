"""The statistics of repeated measurements, with the standard library alone.

Student's t because blocks are few; Welch-Satterthwaite because their spread and the idle power have degrees of freedom
of their own; Theil-Sen because one disturbed block must not decide whether a machine is steady.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist, fmean, median, stdev

_NORMAL_FROM = 1e6  # degrees of freedom from which the normal quantile and one correction term are exact to 1e-11


@dataclass(frozen=True)
class Interval:
    """A mean and how far it may be trusted; all but `level` and `dof` are in the unit of the values."""

    mean: float
    u: float  # standard uncertainty of the mean
    dof: float  # degrees of freedom of `u`; inf if it is known, not estimated
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """t(level, dof) times u."""
        return t_quantile(0.5 + self.level / 2, self.dof) * self.u if self.u else 0.0

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width


@dataclass(frozen=True)
class Slope:
    """A straight trend per unit of x, with its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def contains_zero(self) -> bool:
        """Whether the data are compatible with no trend at all."""
        return self.low <= 0.0 <= self.high


@lru_cache(maxsize=256)
def t_quantile(p: float, dof: float) -> float:
    """The value that Student's t with `dof` degrees of freedom stays below with probability `p`.

    Bisection of the tail I_x(dof/2, 1/2)/2, x = dof/(dof + t^2) (Abramowitz and Stegun 26.7.1), good to 1e-10
    relative. `dof` need not be whole and may be inf (the normal distribution). Raises ValueError unless 0 < p < 1 and
    dof > 0.
    """
    if not 0.0 < p < 1.0 or not dof > 0.0:
        raise ValueError(f"t_quantile needs 0 < p < 1 and dof > 0, not p={p!r}, dof={dof!r}")
    if p == 0.5:
        return 0.0
    if p < 0.5:
        return -t_quantile(1.0 - p, dof)
    if dof >= _NORMAL_FROM:
        z = NormalDist().inv_cdf(p)
        return z + (z**3 + z) / (4.0 * dof)  # first term of the Cornish-Fisher expansion

    tail, low, high = 1.0 - p, 0.0, 1.0
    while _upper_tail(high, dof) > tail:
        low, high = high, 2.0 * high
    while high - low > 1e-13 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _upper_tail(middle, dof) > tail else (low, middle)
    return 0.5 * (low + high)


def _upper_tail(t: float, dof: float) -> float:
    """P(T > t) for t >= 0."""
    return 0.5 * _incomplete_beta(dof / (dof + t * t), dof / 2.0, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (A&S 26.5.8)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # where the fraction of the mirrored function converges faster
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)

    def safe(value: float) -> float:  # Lentz: never divide by zero
        return value if abs(value) > 1e-300 else 1e-300

    c, d = 1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, 5000):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        before = fraction
        for term in (even, odd):
            d, c = 1.0 / safe(1.0 + term * d), safe(1.0 + term / c)
            fraction *= c * d
        if abs(fraction - before) <= 1e-16 * abs(fraction):
            break
    return math.exp(log_front) * fraction / a


def mean_interval(values: Sequence[float], *, floor_u: float = 0.0, level: float = 0.95) -> Interval:
    """The mean with a t-interval of n - 1 degrees of freedom.

    `floor_u` is what the instrument alone would leave uncertain about the mean: a handful of blocks that agree by luck
    cannot claim less. Raises ValueError for fewer than two values: one block has no spread.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 blocks, got {len(values)}")
    u = stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return Interval(mean, floor_u, math.inf, level) if floor_u > u else Interval(mean, u, len(values) - 1, level)


def combine_u(*parts: tuple[float, float]) -> tuple[float, float]:
    """Independent (u, dof) added in quadrature; their effective degrees of freedom.

    Welch-Satterthwaite: dof = u^4 / sum(u_i^4 / dof_i) (GUM, JCGM 100:2008, annex G.4.1).
    """
    u = math.hypot(*(part for part, _ in parts))
    if u == 0.0:
        return 0.0, math.inf
    weight = sum((part / u) ** 4 / dof for part, dof in parts)
    return u, 1.0 / weight if weight else math.inf


def theil_sen(x: Sequence[float], y: Sequence[float], *, level: float = 0.95) -> Slope:
    """The median of all pairwise slopes, with Sen's interval for it (Sen 1968, doi:10.1080/01621459.1968.10480934).

    The ranks of the interval come from the normal approximation of Kendall's S. At n = 5 that is the smallest to the
    largest slope. Raises ValueError for fewer than three points, or if all x are equal.
    """
    slopes = sorted((y[j] - y[i]) / (x[j] - x[i]) for i, j in combinations(range(len(x)), 2) if x[j] != x[i])
    if len(x) != len(y) or len(x) < 3 or not slopes:
        raise ValueError("a trend needs at least 3 points at different x")
    n, count = len(x), len(slopes)
    spread = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    first = max(0, math.floor((count - spread) / 2.0) - 1)
    last = min(count - 1, math.ceil((count + spread) / 2.0))
    return Slope(median(slopes), slopes[first], slopes[last])
