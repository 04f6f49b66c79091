"""``frugalblas energy``: doctor, idle, run and bench."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frugalblas.energy import Meter, Quantity, Reading, Source

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOTHING = 0, 1, 2, 4
SCOPES = ("cpu", "cpu+dram", "gpu", "node", "platform")

EPILOG = """\
examples:
  frugalblas energy doctor                          what can be measured here, and if not, why and what would help
  frugalblas energy idle                            the power of this machine at rest
  frugalblas energy run -- python train.py          joules of any program, on stderr
  frugalblas energy bench --algo blocked,openblas --n 1024 --threads 1,2

exit status:
  doctor  0 a CPU counter can be read, 3 only a GPU or a wattmeter, 4 nothing
  idle, bench  0 measured, 4 nothing here can measure, 1 a figure is missing or (--measured-only) not measured
  run     that of COMMAND; 126 or 127 if it cannot be started
  2 bad usage
"""


def add_commands(subparsers: Any) -> None:
    """Add ``energy`` and its subcommands to what ``add_subparsers`` returned; each sets ``run``."""
    raw = argparse.RawDescriptionHelpFormatter
    energy = subparsers.add_parser(
        "energy", help="joules: what can be measured, and of what", epilog=EPILOG, formatter_class=raw
    )
    commands = energy.add_subparsers(dest="energy_command", metavar="COMMAND", required=True)

    doctor = commands.add_parser("doctor", help="what can be measured here, and if not, exactly why")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.add_argument("--sysfs-root", metavar="DIR", type=_directory, default="/sys", help="read this tree, not /sys")
    doctor.add_argument(
        "--seconds", metavar="S", type=_positive, default=1.0, help="watch the counters for S (default 1)"
    )
    doctor.set_defaults(run=run_doctor)

    idle = commands.add_parser("idle", help="power of this machine at rest")
    _add_meter_options(idle)
    idle.add_argument("--seconds", metavar="S", type=_positive, default=2.0, help="length of a block (default 2)")
    idle.add_argument("--blocks", metavar="N", type=int, default=5, help="how many (default 5)")
    idle.add_argument("--json", action="store_true", help="as JSON")
    idle.set_defaults(run=run_idle)

    run = commands.add_parser("run", help="joules of any program")
    _add_meter_options(run)
    run.add_argument(
        "--idle-seconds", metavar="S", type=_positive, help="first measure idle power for S, to give net joules"
    )
    run.add_argument("--json", metavar="FILE", help="write the reading to FILE")
    run.add_argument("program", metavar="COMMAND", nargs=argparse.REMAINDER, help="after --, with its arguments")
    run.set_defaults(run=run_program)

    bench = commands.add_parser("bench", help="joules per call of strategies, by the full protocol")
    _add_meter_options(bench)
    bench.add_argument("--algo", metavar="NAMES", required=True, help="strategies, NAME or NAME@VARIANT, by commas")
    bench.add_argument("--n", metavar="N", type=int, default=1024, help="edge of the square matrices (default 1024)")
    bench.add_argument("--threads", metavar="COUNTS", default="1", help="thread counts, by commas (default 1)")
    bench.add_argument("--state", choices=("hot", "cold"), default="hot", help="of the machine (default hot)")
    bench.add_argument("--blocks", metavar="N", type=int, default=7, help="windows of each case (default 7)")
    bench.add_argument("--seconds", metavar="S", type=_positive, default=60.0, help="for all blocks (default 60)")
    bench.add_argument("--joules", metavar="J", type=_positive, help="stop before more than J are used")
    bench.add_argument("--seed", metavar="N", type=int, default=0, help="of matrices and order (default 0)")
    bench.add_argument("--country", metavar="ISO3", help="also give CO2e, at that country's mean grid")
    bench.add_argument("--pue", metavar="X", type=float, default=1.0, help="power usage effectiveness (default 1)")
    bench.add_argument("--measured-only", action="store_true", help="fail unless every figure was measured")
    bench.add_argument("--json", metavar="FILE", help="write blocks, figures and power trace to FILE")
    bench.set_defaults(run=run_bench)


def _add_meter_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scope", choices=SCOPES, default="cpu+dram", help="what to count (default cpu+dram)")
    parser.add_argument("--sysfs-root", metavar="DIR", type=_directory, default="/sys", help="read this tree, not /sys")
    parser.add_argument(
        "--wattmeter", metavar="FILE", help="follow this log of an external meter; implies --scope platform"
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _directory(text: str) -> str:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return text


def _say(text: str) -> None:
    print(f"frugalblas: {text}", file=sys.stderr)


@contextlib.contextmanager
def _meter(options: argparse.Namespace, **more: Any) -> Iterator[Meter]:
    """A meter on the sources asked for, all closed at the end. EnergyUnavailable, WattLogError or OSError if not."""
    from frugalblas.energy import Meter, discover

    with contextlib.ExitStack() as stack:
        scope = options.scope
        if options.wattmeter is not None:
            from frugalblas.energy.wattmeter import Wattmeter

            scope = "platform"
            sources: list[Source] = [Wattmeter(options.wattmeter)]
        else:
            sources = discover(sysfs_root=options.sysfs_root)
        for source in sources:
            stack.callback(source.close)
        yield stack.enter_context(Meter(scope, sources=sources, **more))


def run_doctor(options: argparse.Namespace) -> int:
    """``frugalblas energy doctor``."""
    from frugalblas.energy.doctor import doctor

    report = doctor(probe_s=options.seconds, sysfs_root=options.sysfs_root)
    print(json.dumps(report.json(), indent=1) if options.json else report.text().rstrip("\n"))
    return report.exit_code


def run_idle(options: argparse.Namespace) -> int:
    """``frugalblas energy idle``."""
    from frugalblas.energy import EnergyUnavailable
    from frugalblas.energy.protocol import measure_idle

    try:
        with _meter(options) as meter:
            idle = measure_idle(meter, seconds=options.seconds, blocks=options.blocks)
    except EnergyUnavailable as error:
        _say(str(error))
        return EXIT_NOTHING
    except (ValueError, OSError) as error:
        _say(str(error))
        return EXIT_USAGE
    if options.json:
        print(
            json.dumps(
                {**idle.power.as_dict(), "zones": idle.zones, "seconds": idle.seconds, "blocks": idle.blocks}, indent=1
            )
        )
    else:
        low, high = idle.power.ci()
        print(f"{idle.power}, 95 %: {low:.4g} to {high:.4g} W; {', '.join(idle.zones)}")
    return EXIT_OK


def run_program(options: argparse.Namespace) -> int:
    """``frugalblas energy run``."""
    from frugalblas.energy import EnergyUnavailable
    from frugalblas.energy.command import CommandError, run_command
    from frugalblas.energy.protocol import measure_idle

    command = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not command:
        _say("energy run: give a command after --")
        return EXIT_USAGE
    try:
        with _meter(options, on_missing="none") as meter:
            if options.idle_seconds and meter.zones:
                meter.idle = measure_idle(meter, seconds=options.idle_seconds / 3, blocks=3)
            status, reading = run_command(command, meter)
            _say(_summary(meter, reading))
    except CommandError as error:
        _say(str(error))
        return error.status
    except EnergyUnavailable as error:  # of the idle power
        _say(str(error))
        return EXIT_NOTHING
    except (ValueError, OSError) as error:
        _say(str(error))
        return EXIT_USAGE
    if options.json is not None and not _write(options.json, json.dumps(reading.as_dict(), indent=1) + "\n"):
        return EXIT_FAILED
    return status


def _summary(meter: Meter, reading: Reading) -> str:
    seconds = f"{reading.time.value:.3f} s"
    if reading.gross is None:
        why = str(reading.problem) if reading.problem else "; ".join(meter.selection.missing)
        return f"{seconds}; no joules: {why}"
    net = f", net {reading.net}" if meter.idle is not None and reading.net is not None else ""
    return f"{seconds}, {meter.scope} {reading.gross}{net}, {reading.power}"


def _write(path: str, text: str) -> bool:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        _say(f"--json: {path!r} was not written: {error.strerror}")
        return False
    return True


def run_bench(options: argparse.Namespace) -> int:
    """``frugalblas energy bench``."""
    from frugalblas.energy import EnergyUnavailable, carbon
    from frugalblas.energy.protocol import compare
    from frugalblas.energy.report import table

    try:
        if options.country is not None:
            carbon.intensity(options.country)
        cases = _cases(options)
        with _meter(options) as meter:
            comparison = compare(
                cases,
                meter=meter,
                flops=2.0 * options.n**3,
                state=options.state,
                blocks=options.blocks,
                max_seconds=options.seconds,
                max_joules=options.joules,
                seed=options.seed,
            )
    except EnergyUnavailable as error:
        _say(str(error))
        return EXIT_NOTHING
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        _say(str(error.args[0] if isinstance(error, KeyError) else error))
        return EXIT_USAGE
    print(table(comparison, country=options.country, pue=options.pue), end="")
    written = options.json is None or _write(options.json, comparison.to_json())
    figures: list[Quantity | None] = [result.net for result in comparison.results.values()]
    measured = all(figure is not None and figure.provenance.is_measured for figure in figures)
    failed = any(result.gross is None for result in comparison.results.values())
    return EXIT_FAILED if failed or not written or (options.measured_only and not measured) else EXIT_OK


def _cases(options: argparse.Namespace) -> dict[str, Any]:
    """Every strategy on every number of threads, on N(0, 1) data; each is tried once. ValueError if one cannot run."""
    import functools

    import numpy as np

    import frugalblas

    if options.n < 1:
        raise ValueError(f"--n: {options.n} is not 1 or more")
    generator = np.random.default_rng(options.seed)
    A, B = (generator.standard_normal((options.n, options.n), dtype=np.float32) for _ in range(2))
    C = np.empty_like(A)
    cases = {}
    for algo in options.algo.split(","):
        for count in options.threads.split(","):
            call = functools.partial(frugalblas.sgemm, A, B, out=C, algo=algo.strip(), threads=int(count))
            call()
            cases[f"{algo.strip()}, {int(count)} thread{'s' if int(count) > 1 else ''}"] = call
    return cases
