"""A pytest plugin: GFLOP/s, joules and GFLOP/J of every pytest-benchmark test that says how many flops it does.

Loaded in every pytest run where frugalblas is installed, so it is a package of its own and imports nothing but pytest:
``import frugalblas`` loads NumPy and an OpenMP runtime. Without pytest-benchmark it does nothing.

A test says ``benchmark.extra_info["flops"] = 2 * M * N * K``, or carries ``@pytest.mark.flops(2 * M * N * K)``. Joules
are ``extra_info["energy"]["joules_per_call"]``, as ``frugalblas.energy.pytest_plugin`` writes it; where that is None,
``extra_info["energy"]["reason"]`` is printed below the table.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, NamedTuple

import pytest

TITLE = "GFLOP/s, joules"
NO_FIGURE = "–"


class Row(NamedTuple):
    """One benchmark of the table; what is unknown is None."""

    name: str
    gflop_per_s: float | None
    spread: float | None  # interquartile range over median
    speedup: float | None  # against an earlier run: its median over this one's
    joules: float | None  # per call
    gflop_per_joule: float | None


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and keep what the summary needs."""
    config.addinivalue_line("markers", "flops(count): of one call of a benchmark, for its GFLOP/s (frugalblas)")
    if config.pluginmanager.hasplugin("benchmark"):
        config.pluginmanager.register(Summary(config), "frugalblas_benchmark_summary")


class Summary:
    """The table of one run."""

    def __init__(self, config: pytest.Config) -> None:
        """Nothing measured yet."""
        self.config = config
        self.groups: Iterable[tuple[str | None, list[dict[str, Any]]]] = ()
        self.earlier: dict[tuple[str, str], dict[str, Any]] = {}  # (path, full name) -> extra_info of that run
        self.session: Any = None

    @pytest.hookimpl(trylast=True)  # fixtures are there by then
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """``@pytest.mark.flops(n)`` says the same as extra_info."""
        benchmark, marker = _benchmark_of(item), item.get_closest_marker("flops")
        if benchmark is None or marker is None:
            return
        if len(marker.args) != 1 or marker.kwargs:
            raise pytest.UsageError(f"{item.nodeid}: flops takes one argument: @pytest.mark.flops(2 * M * N * K)")
        benchmark.extra_info.setdefault("flops", marker.args[0])

    @pytest.hookimpl(tryfirst=True)  # fixtures are there still
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """GFLOP/s go into extra_info, and so into the JSON."""
        benchmark = _benchmark_of(item)
        if benchmark is None or benchmark.stats is None or benchmark.has_error:
            return
        flops, _ = flops_of(benchmark.extra_info)
        if flops is not None and benchmark.stats.stats.median > 0:
            benchmark.extra_info["gflop_per_s"] = flops / benchmark.stats.stats.median / 1e9

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_compare_machine_info(self, benchmarksession: Any) -> None:
        """``--benchmark-compare``: the session will know the earlier runs."""
        self.session = benchmarksession

    @pytest.hookimpl(optionalhook=True, hookwrapper=True)
    def pytest_benchmark_group_stats(self) -> Generator[None, Any, None]:
        """Keep the groups that pytest-benchmark prints, earlier runs among them."""
        outcome = yield
        self.groups = list(outcome.get_result())

    @pytest.hookimpl(trylast=True)  # below pytest-benchmark's own table
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, unless no benchmark has flops or joules."""
        if self.config.getoption("benchmark_quiet", False):
            return
        lines: list[str] = []
        notes: dict[str, None] = {}  # each once, in order
        for name, benchmarks in self.groups:
            rows = [self._row(bench, benchmarks, notes) for bench in benchmarks]
            shown = [row for row in rows if row.gflop_per_s is not None or row.joules is not None]
            if shown:
                lines += ["", f"{name or 'benchmark'}:", *table(shown)]
        if lines or notes:
            terminalreporter.section(TITLE, sep="-")
            for line in [*lines[1:], *[""][: bool(lines and notes)], *notes]:
                terminalreporter.write_line(line)

    def _row(self, bench: dict[str, Any], group: list[dict[str, Any]], notes: dict[str, None]) -> Row:
        info = self._info(bench)
        flops, fault = flops_of(info)
        energy = info.get("energy")
        energy = energy if isinstance(energy, Mapping) else {}
        joules = energy.get("joules_per_call")
        if fault is not None:
            notes[f"{bench['name']}: {fault}"] = None
        elif joules is None and energy.get("reason"):
            notes[f"no joules: {energy['reason']}"] = None
        earlier = [other for other in group if other["fullname"] == bench["fullname"] and other["path"] is not None]
        return Row(
            name=bench["name"],  # as --benchmark-name formats it, with the earlier run it is of
            gflop_per_s=None if flops is None or not bench["median"] else flops / bench["median"] / 1e9,
            spread=bench["iqr"] / bench["median"] if bench["median"] else None,
            speedup=earlier[-1]["median"] / bench["median"] if earlier and bench["path"] is None else None,
            joules=joules,
            gflop_per_joule=None if flops is None or not joules else flops / joules / 1e9,
        )

    def _info(self, bench: dict[str, Any]) -> dict[str, Any]:
        """Its extra_info. pytest-benchmark gives an earlier run that of this one, with other joules: look it up."""
        if bench["path"] is None:
            return dict(bench["extra_info"])
        for path, benchmarks in self.session.compared_mapping.items():
            if str(path) == bench["path"]:
                return dict(benchmarks[bench["fullname"]].get("extra_info", {}))
        return {}


def _benchmark_of(item: pytest.Item) -> Any:
    """The test's ``benchmark`` fixture, None without one."""
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    return benchmark if hasattr(benchmark, "extra_info") else None


def flops_of(info: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """The flops of one call, and what is wrong with them, if anything."""
    flops = info.get("flops")
    if flops is None:
        return None, None
    if isinstance(flops, bool) or not isinstance(flops, (int, float)) or not 0 < flops < float("inf"):
        return None, f'extra_info["flops"] is {flops!r}; expected a number above 0, such as 2 * M * N * K'
    return float(flops), None


def table(rows: list[Row]) -> list[str]:
    """Aligned lines; a column that nobody fills is left out, except joules: that there are none is worth saying."""
    columns = [
        ("GFLOP/s", [_figure(row.gflop_per_s) for row in rows]),
        ("spread", [NO_FIGURE if row.spread is None else f"{100 * row.spread:.0f}%" for row in rows]),
        ("x before", [NO_FIGURE if row.speedup is None else f"{row.speedup:.3g}x" for row in rows]),
        ("J", [_figure(row.joules) for row in rows]),
        ("GFLOP/J", [_figure(row.gflop_per_joule) for row in rows]),
    ]
    if all(row.speedup is None for row in rows):
        del columns[2]
    names = [row.name for row in rows]
    width = max(map(len, names))
    lines = [[" " * width, *names]]
    lines[0][1:] = [name.ljust(width) for name in names]
    lines += [
        [text.rjust(max(map(len, [heading, *cells]))) for text in [heading, *cells]] for heading, cells in columns
    ]
    return ["  ".join(cells).rstrip() for cells in zip(*lines, strict=True)]


def _figure(value: float | None) -> str:
    return NO_FIGURE if value is None else f"{value:.3g}"
