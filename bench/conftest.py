"""Options and parameters of the pytest-benchmark suites: `pytest bench/`."""

import pytest
from suite import solved

import frugalblas
from frugalblas import energy
from frugalblas.bench import cases, machine, parsing
from frugalblas.bench.check import PRECISIONS

pytest_plugins = ["frugalblas.energy.pytest_plugin"]  # --benchmark-energy

DEFAULT_SIZES = "128,480"
SLOWEST_SECONDS = 0.25  # a call; with five rounds of what is slower the default run would take minutes


def pytest_addoption(parser):
    group = parser.getgroup("frugalblas", "suites of frugalblas")
    group.addoption("--algo", metavar="NAMES", help="NAME or NAME@VARIANT, by commas, or all (default: the ladder)")
    group.addoption("--sizes", metavar="SIZES", default=DEFAULT_SIZES, help=f"N or MxNxK (default: {DEFAULT_SIZES})")
    group.addoption("--threads", metavar="COUNTS", help="by commas (default: 1, and all CPUs where threads cooperate)")
    group.addoption("--precision", metavar="NAMES", default="fp32", help="by commas, or all (default: fp32)")
    group.addoption(
        "--slowest", metavar="S", type=float, default=SLOWEST_SECONDS, help="skip what takes longer a call than this"
    )


def pytest_generate_tests(metafunc):
    names = ("strategy", "size", "threads", "precision")
    if not set(names) <= set(metafunc.fixturenames):
        return
    try:
        rows = [
            (str(case.strategy), str(case.size), case.threads, precision)
            for case in _cases(metafunc.config)
            for precision in _precisions(metafunc.config, case.strategy.name)
        ]
    except cases.RequestError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize(names, rows, ids=["-".join(map(str, row)) for row in rows])


def _cases(config):
    cards = frugalblas.algorithms()
    asked = config.getoption("--threads")
    return cases.build_cases(
        parsing.parse_strategies(config.getoption("--algo"), cards),
        cards,
        parsing.parse_sizes(config.getoption("--sizes")),
        None if asked is None else parsing.parse_threads(asked),
        frugalblas.get_num_threads(),
    )


def _precisions(config, name):
    cards = {card.name: card for card in frugalblas.algorithms()}
    known = {precision for card in cards.values() for precision in card.precisions if precision in PRECISIONS}
    asked = config.getoption("--precision")
    wanted = sorted(known) if asked == "all" else [word.strip() for word in asked.split(",")]
    for precision in wanted:
        if precision not in known:
            raise cases.RequestError(f"--precision: {precision!r} is none of {', '.join(sorted(known))}, nor all")
    return [precision for precision in wanted if precision in cards[name].precisions]


@pytest.fixture
def problem(size):
    """A, B and the float64 product of this size, the same for every strategy."""
    return solved(parsing.parse_sizes(size)[0])


@pytest.fixture(scope="session")
def provenance():
    """What a figure of another day is to be compared with: machine, default build variant, commit, versions."""
    found = frugalblas.info()
    return {
        "machine": found["cpu"]["model"],
        "variant": found["variant"],
        "source": machine.source(),
        **{name: found[name] for name in ("version", "numpy", "python")},
        "compiler": found["build"]["compiler"],
    }


def pytest_benchmark_update_machine_info(config, machine_info):
    """The file has all that was found, once."""
    machine_info["frugalblas"] = frugalblas.info()


@pytest.fixture(scope="session")
def no_joules():
    """The entry of a benchmark whose joules are not measured: the reason."""
    with energy.Meter(on_missing="none") as meter:
        missing = meter.selection.missing
    reason = "; ".join(missing) if missing else "not asked for: pytest bench/ --benchmark-energy"
    return {"joules_per_call": None, "reason": reason}
