"""A pytest plugin: the joules of every pytest-benchmark test, in ``extra_info["energy"]``.

Asked for with ``pytest -p frugalblas.energy.pytest_plugin --benchmark-energy``. The timed loop is not touched: when a
test has ended, what its ``benchmark`` fixture called is called again by the protocol, in a pass of its own. Without a
counter the entry holds the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .protocol import JoulesPass, measure_joules

KEY = "energy"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--benchmark-energy`` and its limit."""
    group = parser.getgroup("benchmark")
    group.addoption("--benchmark-energy", action="store_true", help="measure joules too, after timing (frugalblas)")
    group.addoption(
        "--benchmark-energy-seconds",
        metavar="S",
        type=float,
        default=10.0,
        help="for the joules of one test, warm-up not counted (default: 10)",
    )


@pytest.fixture(autouse=True)
def _benchmark_energy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remember what the benchmark calls; measure it when the test is over."""
    if not request.config.getoption("--benchmark-energy") or "benchmark" not in request.fixturenames:
        yield
        return
    benchmark = request.getfixturevalue("benchmark")
    seen: list[Callable[[], object]] = []
    _remember(benchmark, seen)
    yield
    if seen and benchmark.enabled and not benchmark.has_error:
        seconds = request.config.getoption("--benchmark-energy-seconds")
        benchmark.extra_info[KEY] = measure(seen[-1], seconds)


def _remember(benchmark: Any, seen: list[Callable[[], object]]) -> None:
    """Wrap ``benchmark(...)`` and ``benchmark.pedantic(...)``: outside the loop that they time."""
    timed, pedantic = benchmark._raw, benchmark._raw_pedantic

    def raw(function: Callable[..., object], *args: Any, **kwargs: Any) -> object:
        seen.append(lambda: function(*args, **kwargs))
        return timed(function, *args, **kwargs)

    def raw_pedantic(
        target: Callable[..., object], args: Any = (), kwargs: Any = None, setup: Any = None, **more: Any
    ) -> object:
        if setup is None:  # what changes its arguments every round has no joules per call
            seen.append(lambda: target(*args, **(kwargs or {})))
        return pedantic(target, args, kwargs, setup, **more)

    benchmark._raw, benchmark._raw_pedantic = raw, raw_pedantic


def measure(call: Callable[[], object], seconds: float) -> dict[str, Any]:
    """The entry for one call; never an exception, for the test has passed."""
    try:
        return entry(measure_joules({"test": call}, max_seconds=seconds, trace=False))
    except ValueError as error:
        return {"joules_per_call": None, "reason": str(error)}


def entry(found: JoulesPass) -> dict[str, Any]:
    """What ``extra_info`` gets: figures per call where there are some, and the reason where there are none."""
    if found.comparison is None or found.reason is not None:
        return {"joules_per_call": None, "reason": found.reason}
    result = found.comparison["test"]
    figures = {name: getattr(result, name) for name in ("net", "gross")}
    return {
        "joules_per_call": found.joules_per_call["test"],
        **{name: figure.as_dict() if figure else None for name, figure in figures.items()},
        "upper_bound_j": result.below.upper_bound_j if result.below else None,
        "source": found.source,
        "flags": sorted(result.flags),
        "reason": result.problem or None,
    }
