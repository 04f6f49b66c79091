"""Two kept runs side by side: machines, commits or countries (docs/report.md)."""

from .pairs import Comparison, Difference, Pair, compare
from .ratio import Interval, median_interval, ratio_of_medians

__all__ = ["Comparison", "Difference", "Interval", "Pair", "compare", "median_interval", "ratio_of_medians"]
