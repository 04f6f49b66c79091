"""``frugalblas run``, ``preload``, ``config`` and ``blas-provider``: frugalblas under other programs."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `frugalblas run` has a program wait for what is imported here
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
SCOPES = ("cpu", "cpu+dram", "gpu", "node", "platform")

RUN_EPILOG = """\
examples:
  frugalblas run train.py --epochs 3        a Python script with its arguments
  frugalblas run -m sklearn.show_versions   a module
  frugalblas run -- octave model.m          any other program
  frugalblas run --observe train.py         count and time the products where they are now

The profile goes to stderr when the program has ended. Joules are those of the whole machine meanwhile.

exit status: that of the program, and a signal that ended it ends this command too;
  126 or 127 if it cannot be started; 2 if the request cannot be carried out
"""

PROVIDER_EPILOG = """\
examples:
  frugalblas blas-provider --print                              what would be installed
  frugalblas blas-provider --install /usr/local/lib/frugalblas  two files, and the update-alternatives command
"""


def add_commands(subparsers: Any) -> None:
    """Add the commands to what ``add_subparsers`` returned; each sets ``run``."""
    import argparse
    from pathlib import Path

    raw = argparse.RawDescriptionHelpFormatter
    run = subparsers.add_parser(
        "run", help="run a program with its float32 products on frugalblas", epilog=RUN_EPILOG, formatter_class=raw
    )
    run.add_argument("--observe", action="store_true", help="leave the products where they are, and only count them")
    run.add_argument("--json", metavar="FILE", help="write the whole profile to FILE")
    run.add_argument("--scope", choices=SCOPES, default="cpu+dram", help="energy to count (default cpu+dram)")
    run.add_argument("--sysfs-root", metavar="DIR", default="/sys", help="read energy counters in this tree, not /sys")
    run.add_argument("-m", metavar="MODULE", dest="module", nargs=argparse.REMAINDER, help="a module, with arguments")
    run.add_argument(
        "program", metavar="SCRIPT | -- COMMAND", nargs=argparse.REMAINDER, help="what to run, with its arguments"
    )
    run.set_defaults(run=run_program, starts_python=True)

    preload = subparsers.add_parser("preload", help="print the path of the library to put into LD_PRELOAD")
    preload.set_defaults(run=run_preload)

    config = subparsers.add_parser("config", help="how C programs compile and link with frugalblas")
    for name, meaning in CONFIG.items():
        config.add_argument(f"--{name}", dest="wanted", action="append_const", const=name, help=meaning)
    config.set_defaults(run=run_config)

    provider = subparsers.add_parser(
        "blas-provider", help="make a libblas.so.3 for this system", epilog=PROVIDER_EPILOG, formatter_class=raw
    )
    what = provider.add_mutually_exclusive_group(required=True)
    what.add_argument("--install", metavar="DIR", type=Path, help="write libblas.so.3 and what it needs to DIR")
    what.add_argument("--print", action="store_true", dest="show", help="say what would be done")
    provider.add_argument(
        "--rest", metavar="FILE", type=Path, help="library for the rest of BLAS (default: the best one found)"
    )
    provider.set_defaults(run=run_provider)


CONFIG = {
    "cflags": "compiler options",
    "libs": "linker options",
    "includedir": "folder of frugalblas.h",
    "libdir": "folder of libfrugalblas.so and libfrugalblas_blas.so",
    "cmakedir": "folder for CMAKE_PREFIX_PATH or frugalblas_DIR",
    "pkgconfigdir": "folder for PKG_CONFIG_PATH",
}


def _say(text: str) -> None:
    print(f"frugalblas: {text}", file=sys.stderr)


class RunOptions:
    """What ``frugalblas run`` was asked for, as argparse would say it."""

    observe: bool = False
    json: str | None = None
    scope: str = "cpu+dram"
    sysfs_root: str = "/sys"
    module: Sequence[str] | None = None
    program: Sequence[str] = ()


def plain_options(words: Sequence[str]) -> RunOptions | None:
    """The options in `words`, which follow ``run``; None if argparse should have a look at them.

    argparse takes as long to import as all else that a program waits for together. Every call it would accept and that
    spells its options out is understood here, and none that it would refuse.
    """
    options, words = RunOptions(), list(words)
    while words:
        word = words[0]
        if not word.startswith("-") or word == "--":
            options.program = words
            return options
        if word == "-m":
            options.module = words[1:]
            return options
        name, equals, value = word.partition("=")
        if name == "--observe" and not equals:
            options.observe = True
            del words[0]
            continue
        if name not in ("--json", "--scope", "--sysfs-root"):
            return None
        if not equals:
            if len(words) < 2 or words[1].startswith("-"):
                return None
            value = words[1]
        if name == "--scope" and value not in SCOPES:
            return None
        setattr(options, name[2:].replace("-", "_"), value)
        del words[: 1 if equals else 2]
    return None


def _command(options: RunOptions) -> list[str]:
    """The words to start; empty if none were given."""
    if options.module is not None:
        return [sys.executable, "-m", *options.module] if options.module else []
    words = list(options.program)
    if words[:1] == ["--"]:
        return words[1:]
    return [sys.executable, *words] if words else []


def run_program(options: RunOptions) -> int:
    """``frugalblas run``."""
    from frugalblas import child
    from frugalblas.run import command, libraries

    words = _command(options)
    if not words:
        _say("run: give a script, -m and a module, or -- and a command")
        return EXIT_USAGE
    try:
        file = None if options.json is None else open(options.json, "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        _say(f"--json: {options.json!r} cannot be written: {error.strerror}")
        return EXIT_USAGE
    try:
        profile = command.run(words, observe=options.observe, scope=options.scope, sysfs_root=options.sysfs_root)
    except libraries.Refused as refused:
        _say(str(refused))
        return EXIT_USAGE
    except child.CommandError as error:
        _say(str(error))
        return error.status
    from frugalblas.run import report

    try:
        if file is not None:
            import json

            with file:
                json.dump(report.to_dict(profile), file, indent=1, allow_nan=False)
                file.write("\n")
    except OSError as error:  # a full disk takes nothing from the program's own exit status
        _say(f"--json: {options.json!r} was not written: {error.strerror}")
    _show(report.text(profile))
    return child.end_like(profile.returncode)


def _show(text: str) -> None:
    encoding = sys.stderr.encoding or "ascii"
    try:
        sys.stderr.write(text.encode(encoding, "replace").decode(encoding))
        sys.stderr.flush()
    except OSError:  # nobody reads; the program's exit status still counts
        pass


def run_preload(options: argparse.Namespace) -> int:
    """``frugalblas preload``."""
    from frugalblas.run import libraries

    try:
        path = libraries.path(libraries.BLAS)
        libraries.preload_value(path, None)
    except libraries.Refused as refused:
        _say(str(refused))
        return EXIT_USAGE
    print(path)
    return EXIT_OK


def run_config(options: argparse.Namespace) -> int:
    """``frugalblas config``."""
    from frugalblas.run import libraries

    try:
        folder = libraries.folder()
    except libraries.Refused as refused:
        _say(str(refused))
        return EXIT_FAILED
    values = {
        "cflags": f"-I{folder}/include",
        "libs": f"-L{folder} -Wl,-rpath,{folder} -lfrugalblas",
        "includedir": f"{folder}/include",
        "libdir": str(folder),
        "cmakedir": f"{folder}/share/cmake/frugalblas",
        "pkgconfigdir": f"{folder}/share/pkgconfig",
    }
    if options.wanted:
        print(" ".join(values[name] for name in options.wanted))
    else:
        for name, value in values.items():
            print(f"{name}: {value}")
    return EXIT_OK


def run_provider(options: argparse.Namespace) -> int:
    """``frugalblas blas-provider``."""
    from frugalblas.run import libraries, provider

    try:
        plan = provider.plan(options.rest)
        if options.show:
            print(plan.text(None), end="")
        else:
            plan.install(options.install)
            print(plan.text(options.install), end="")
    except libraries.Refused as refused:
        _say(str(refused))
        return EXIT_USAGE
    except OSError as error:
        _say(f"{error.filename or options.install}: {error.strerror}")
        return EXIT_FAILED
    return EXIT_OK
