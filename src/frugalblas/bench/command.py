"""``frugalblas bench``: from its options to its exit status."""

from __future__ import annotations

import argparse
import contextlib
import math
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np

import frugalblas
from frugalblas import _core

from . import cases, engine, isolation, joules, machine, outputs, parsing, plan, progress, resume, runner, schema
from .cases import RequestError
from .output import page_width, show
from .page import render
from .records import Result
from .studies import Here, parse_studies

EXIT_OK, EXIT_BAD_RESULT, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
# Options that say what to measure: none of them goes with a file that says it already.
MEASURING = ("study", "algo", "sizes", "threads", "seconds", "seed")


def refuse(message: str) -> NoReturn:
    """Say why the request cannot be carried out, and exit with status 2."""
    print(f"frugalblas: {message}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)


def run(options: argparse.Namespace) -> int:
    """``frugalblas bench``."""
    if options.from_file is not None:
        return show_file(options)
    try:
        if options.resume is not None:
            chosen, result = continued(options)
        else:
            chosen, result = prepare(options)
        destination = None if options.json in (None, "-") else schema.Destination(options.json)
        shown = outputs.prepare(options)
    except RequestError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"--json: {options.json!r} cannot be written: {error.strerror}")
    keep = Keeper(destination, result)
    try:
        with terminable(), measuring_engine(options) as here:
            runner.run(chosen, here, progress.for_stream(), result, checkpoint=keep.beginning)
            joules.measure(chosen, here, progress.for_stream(), result)
    except RequestError as error:
        refuse(str(error))
    status = exit_status(result)
    if not keep.all():  # before the table: whoever reads that may have gone
        status = EXIT_BAD_RESULT
    with shown.after(result) as written:
        show(render(result, page_width()), sys.stderr if options.json == "-" else sys.stdout)
        if options.json == "-":
            show(schema.to_json(result), sys.stdout)
        else:
            show(next_step(result, options.json, options.report), sys.stdout)
    return max(status, *written)


class Keeper:
    """Writes the result, complete or not, where it was asked for."""

    def __init__(self, destination: schema.Destination | None, result: Result) -> None:
        """None: nowhere."""
        self._destination, self._result = destination, result

    def beginning(self) -> None:
        """What there is so far, as an interrupted run. A full disk is reported at the end, when it may no longer be."""
        if self._destination is not None:
            beginning = self._result.copy()
            beginning["interrupted"] = True
            with contextlib.suppress(OSError):
                self._destination.write(schema.to_json(beginning))

    def all(self) -> bool:
        """Everything; False if it could not be written, and why is on stderr."""
        if self._destination is None:
            return True
        try:
            self._destination.write(schema.to_json(self._result))
        except OSError as error:
            print(f"frugalblas: {self._destination.path!r} was not written: {error.strerror}", file=sys.stderr)
            return False
        return True


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the run like Ctrl-C: what has been measured is kept."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def measuring_engine(options: argparse.Namespace) -> Iterator[engine.Engine]:
    """This process, or a process for each strategy."""
    if not options.isolate:
        yield engine.LocalEngine()
        return
    with isolation.IsolatedEngine() as here:
        yield here


def prepare(options: argparse.Namespace) -> tuple[plan.Plan, Result]:
    """The plan that the options ask for, and its blank result; RequestError for a bad value."""
    cards = frugalblas.algorithms()
    seed = parse_seed(options.seed)
    sizes = None if options.sizes is None else parsing.parse_sizes(options.sizes)
    threads = None if options.threads is None else parsing.parse_threads(options.threads)
    if threads is not None and threads[-1] > _core.max_threads():
        raise RequestError(f"--threads: {threads[-1]} is more than the {_core.max_threads()} allowed here")
    asked = None if options.algo is None else parsing.parse_strategies(options.algo, cards)
    here = surroundings(cards, asked, threads)
    studies, left_out = parse_studies(options.study, here)
    seconds = parse_seconds(options.seconds, sum(study.seconds for study in studies))
    found = [case for study in studies for size in sizes or study.sizes for case in study.cases(here, size)]
    if not found:
        raise RequestError(
            f"--threads: {', '.join(map(str, here.strategies()))} can only run on 1 thread; "
            f"{', '.join(map(str, threads or []))} was asked for"
        )
    chosen = plan.Plan(
        cards=cards,
        cases=found,
        seconds=seconds,
        seed=seed,
        threads=threads,
        sizes_may_shrink=options.sizes is None,
        memory_bytes=machine.available_bytes(),
        studies=[study for study in studies if any(case.study == study.name for case in found)],
    )
    result = plan.blank_result(chosen, frugalblas.info(), machine.source())
    result["notes"] += left_out
    without = [str(strategy) for strategy in here.strategies() if not here.counts(strategy)]
    if without:
        result["notes"].append(f"not run, because --threads leaves out 1: {', '.join(without)} (one thread only)")
    return chosen, result


def surroundings(cards: Sequence[cases.Card], asked: list[cases.Strategy] | None, threads: list[int] | None) -> Here:
    """What the studies need to know of this machine."""

    def blocks(size: cases.Size) -> dict[str, int | str]:
        shape = size.clipped(8192)  # larger ones have the same blocks, and may not fit in memory
        A, B = np.empty((shape.M, shape.K), np.float32), np.empty((shape.K, shape.N), np.float32)  # never touched
        return dict(frugalblas.explain(A, B, algo="blocked", threads=1)["blocks"])

    return Here(
        cards=cards,
        cpus=frugalblas.get_num_threads(),
        most_threads=_core.max_threads(),
        blocks=blocks,
        tiles=_core.study_tiles(),
        asked=asked,
        threads=threads,
        why_no_joules=joules.why_none,
    )


def continued(options: argparse.Namespace) -> tuple[plan.Plan, Result]:
    """The plan and the result of an interrupted run. It is written back unless --json says otherwise."""
    path: str = options.resume or options.json or "-"
    if path == "-":
        raise RequestError("--resume: which run? Say --resume FILE, or --json FILE --resume")
    others = [name for name in MEASURING if getattr(options, name) is not None]
    if others:
        raise RequestError(f"--resume measures what the run was begun with: it cannot go with --{others[0]}")
    options.json = options.json or path
    result = read_or_refuse("--resume", path)
    cards, facts = frugalblas.algorithms(), frugalblas.info()
    return resume.prepare(result, cards, facts, machine.source(), machine.available_bytes()), result


def next_step(result: Result, path: str | None, page: str | None = None) -> str:
    """How to go on from here, in a line: the run's file and page, if it has them."""
    if result["interrupted"]:
        return "" if path is None else f"\nTo go on: frugalblas bench --resume {shlex.quote(path)}\n"
    if page is not None:
        return f"\nThe page: {page}\n"
    if path is None:
        return "\nFor a page of a run: --json run.json, then --from run.json --report page.html\n"
    return f"\nFor the page: frugalblas bench --from {shlex.quote(path)} --report page.html\n"


def parse_seconds(text: str | None, default: float) -> float:
    """The time budget; RequestError unless it is above 0 and finite."""
    try:
        seconds = default if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RequestError(f"--seconds: {text!r} is not a time budget; expected a number of seconds above 0")
    return seconds


def parse_seed(text: str | None) -> int:
    """The seed; RequestError unless it is a whole number from 0."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise RequestError(f"--seed: {text!r} is not a seed; expected a whole number from 0")
    return int(text)


def show_file(options: argparse.Namespace) -> int:
    """``frugalblas bench --from FILE``."""
    others = [name for name in (*MEASURING, "json", "resume") if getattr(options, name) is not None]
    if others:
        refuse(f"--from shows a kept run and measures nothing: it cannot go with --{others[0]}")
    result = read_or_refuse("--from", options.from_file)
    try:
        shown = outputs.prepare(options)
    except RequestError as error:
        refuse(str(error))
    with shown.after(result) as written:
        show(render(result, page_width()) + next_step(result, options.from_file, options.report), sys.stdout)
    return max(exit_status(result), *written)


def read_or_refuse(option: str, path: str) -> Result:
    """The result in a file that an option names; its doubts go to stderr."""
    try:
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always", schema.ResultWarning)
            result = schema.read(path)
    except schema.BadResult as error:
        refuse(f"{option}: {path!r} cannot be read: {error}")
    except OSError as error:
        refuse(f"{option}: {path!r} cannot be read: {error.strerror}")
    for doubt in doubts:
        print(f"frugalblas: {doubt.message}", file=sys.stderr)
    return result


def exit_status(result: Result) -> int:
    """Of a finished or interrupted run."""
    if result["interrupted"]:
        return EXIT_INTERRUPTED
    wrong = any(case["status"] in ("wrong", "failed") for case in result["cases"])
    return EXIT_BAD_RESULT if wrong else EXIT_OK
