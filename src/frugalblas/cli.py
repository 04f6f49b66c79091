"""The command ``frugalblas``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from . import completion, energy_cli, report_cli, run_cli

DESCRIPTION = "Every way to multiply two float32 matrices: what each costs in time and in joules."
EXIT_OK, EXIT_INTERRUPTED = 0, 130

BENCH_EPILOG = """\
examples:
  frugalblas bench                                  the ladder, in under two minutes
  frugalblas bench --seconds 20                     a quick look: fewer and smaller sizes
  frugalblas bench --algo naive,blocked --sizes 1024
  frugalblas bench --algo blocked@v3,blocked@v2 --sizes 512,1920
  frugalblas bench --algo openmp,openblas --threads 1,2,4 --sizes 16x4096x4096
  frugalblas bench --json run.json                  keep every sample, as they come
  frugalblas bench --resume run.json                go on after Ctrl-C, a crash or a power cut
  frugalblas bench --from run.json                  show the table of a kept run again
  frugalblas bench --from run.json --report run.html --plots figures

studies, what each varies, and the time it takes unless --seconds says otherwise:
  frugalblas bench --study sizes --json sizes.json  speed and joules against N (3 min)
  frugalblas bench --study sizes --sizes 96:3072:96 --seconds 3600
  frugalblas bench --study threads                  1 to beyond the CPUs; OpenMP schedules (90 s)
  frugalblas bench --study flags                    strategies x compiler flags (2 min)
  frugalblas bench --study blocks                   MC, KC, NC and the tile MR x NR (90 s)
  frugalblas bench --study shapes                   flat, deep, small and many (1 min)
  frugalblas bench --study gpu                      kernel, device-resident, from the host (90 s)
  frugalblas bench --study precision                error against speed against joules (45 s)
  frugalblas bench --study power,roofline           several in one file (45 s and 1 min)
  frugalblas bench --study all --isolate --json all.json

exit status:
  0    every result was right
  1    a strategy gave a WRONG result or failed, or a file could not be written
  2    the request cannot be carried out; nothing was measured
  130  interrupted with Ctrl-C or SIGTERM; what had been measured was shown and written
"""

COMPLETION_EPILOG = """\
examples:
  frugalblas completion bash >> ~/.bash_completion
  frugalblas completion zsh > ~/.zfunc/_frugalblas      (with ~/.zfunc in $fpath)
  frugalblas completion fish > ~/.config/fish/completions/frugalblas.fish
"""

MAIN_EPILOG = """\
examples:
  frugalblas bench          climb the ladder on this machine
  frugalblas compare A B    two kept runs side by side
  frugalblas energy doctor  can joules be measured here, and if not, why
  frugalblas run train.py   run a program with its float32 products on frugalblas, and see them
  frugalblas algorithms     what can run here, and why the rest cannot
  frugalblas info           CPU, threads, build and libraries found
  frugalblas completion bash  a script for your shell

exit status: 0 success; 1 a wrong result; 2 bad usage; 130 interrupted (see frugalblas bench --help);
frugalblas run and frugalblas energy run: that of the program
"""


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    raw = argparse.RawDescriptionHelpFormatter
    main_parser = argparse.ArgumentParser(
        "frugalblas", description=DESCRIPTION, epilog=MAIN_EPILOG, formatter_class=raw
    )
    main_parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = main_parser.add_subparsers(dest="command", metavar="COMMAND")

    bench = commands.add_parser(
        "bench",
        help="measure the strategies on this machine",
        epilog=BENCH_EPILOG,
        formatter_class=raw,
        description="Runs every rung of the ladder at several sizes, checks each result, and prints one table; or "
        "makes one of the studies below, each a table of its own.",
    )
    bench.add_argument(
        "--study",
        metavar="NAMES",
        help="what to vary, by commas, or all: ladder, sizes, threads, flags, blocks, shapes, gpu, precision, power, "
        "roofline (default: ladder)",
    )
    bench.add_argument("--algo", metavar="NAMES", help="NAME or NAME@VARIANT, by commas, or all (default: the ladder)")
    bench.add_argument(
        "--sizes",
        metavar="SIZES",
        help="N, MxNxK or FIRST:LAST:STEP, by commas (default: chosen to fit the budget)",
    )
    bench.add_argument(
        "--threads",
        metavar="COUNTS",
        help="thread counts, by commas, for every strategy that honours "
        "them (default: 1, and all CPUs where threads cooperate)",
    )
    bench.add_argument(
        "--seconds",
        metavar="S",
        default=None,
        help="time budget; sizes and samples are chosen to fit (default: 90 for the ladder, 45 to 180 for a study)",
    )
    bench.add_argument("--seed", metavar="N", default=None, help="of the random matrices (default: 0)")
    bench.add_argument(
        "--json", metavar="FILE", help="write every sample to FILE; '-' for stdout, the table then goes to stderr"
    )
    bench.add_argument(
        "--resume",
        metavar="FILE",
        nargs="?",
        const="",
        default=None,
        help="go on with an interrupted run, from its JSON file (default: that of --json)",
    )
    bench.add_argument(
        "--isolate",
        action="store_true",
        help="each strategy in a process of its own: if one crashes, the others' results are kept",
    )
    bench.add_argument(
        "--from", metavar="FILE", dest="from_file", help="measure nothing: show the table of a JSON file"
    )
    report_cli.add_options(bench)
    bench.set_defaults(run=run_bench)
    report_cli.add_commands(commands)

    complete = commands.add_parser(
        "completion",
        help="print a script that completes commands and options in a shell",
        epilog=COMPLETION_EPILOG,
        formatter_class=raw,
    )
    complete.add_argument("shell", choices=completion.SHELLS, help="bash, zsh or fish")
    complete.set_defaults(run=run_completion)

    energy_cli.add_commands(commands)
    run_cli.add_commands(commands)
    algorithms = commands.add_parser("algorithms", help="list the strategies, and whether they can run here")
    algorithms.set_defaults(run=run_algorithms)
    info = commands.add_parser("info", help="what was found on this machine")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(run=run_info)
    return main_parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    main_parser = parser()
    options = main_parser.parse_args(arguments)
    try:
        if options.version:
            from importlib.metadata import version

            print(f"frugalblas {version('frugalblas')}")
            return EXIT_OK
        if options.command is None:
            main_parser.print_help()
            return EXIT_OK
        return int(options.run(options))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough (| head); keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def run_bench(options: argparse.Namespace) -> int:
    """``frugalblas bench``."""
    from frugalblas.bench import command

    return command.run(options)


def run_completion(options: argparse.Namespace) -> int:
    """``frugalblas completion``."""
    import frugalblas
    from frugalblas.bench.output import show
    from frugalblas.bench.studies import STUDIES

    values = {"--study": ["all", *STUDIES], "--algo": ["all", *(card.name for card in frugalblas.algorithms())]}
    show(completion.script(options.shell, parser(), values), sys.stdout)
    return EXIT_OK


def run_algorithms(options: argparse.Namespace) -> int:
    """``frugalblas algorithms``."""
    import frugalblas
    from frugalblas.bench import text
    from frugalblas.bench.output import page_width, show

    lines = []
    cards = frugalblas.algorithms()
    names, courses = (2 + max(len(getattr(card, what)) for card in cards) for what in ("name", "course"))
    for card in cards:
        what = card.summary if card.available else f"{card.summary}. Cannot run here: {card.reason}"
        heading = f"{card.name:<{names}}{card.course or '–':<{courses}}{'yes' if card.available else 'no':<6}"
        lines += text.paragraph(heading + what, page_width(), hanging=" " * len(heading))
    lines.insert(0, f"{'strategy':<{names}}{'course':<{courses}}{'here':<6}what it does")
    show("\n".join(lines) + "\n", sys.stdout)
    return EXIT_OK


def run_info(options: argparse.Namespace) -> int:
    """``frugalblas info``."""
    import frugalblas
    from frugalblas.bench.output import show

    found = frugalblas.info()
    show(json.dumps(found, indent=1) + "\n" if options.json else "\n".join(outline(found)) + "\n", sys.stdout)
    return EXIT_OK


def outline(value: dict[str, Any], indent: str = "") -> list[str]:
    """Nested facts as indented lines."""
    lines = []
    for key, item in value.items():
        name = f"{indent}{str(key).replace('_', ' ')}:"
        if isinstance(item, dict):
            lines += [name, *outline(item, indent + "  ")]
        else:
            shown = ", ".join(map(str, item)) if isinstance(item, (list, tuple)) else item
            lines.append(f"{name} {shown}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
