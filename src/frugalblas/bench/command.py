"""``frugalblas bench``: from its options to its exit status."""

from __future__ import annotations

import argparse
import math
import sys
from typing import NoReturn

import frugalblas
from frugalblas import _core

from . import cases, engine, joules, machine, outputs, plan, progress, runner, schema
from .cases import RequestError
from .output import page_width, show
from .page import render
from .schema import Result

EXIT_OK, EXIT_BAD_RESULT, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
DEFAULT_SECONDS = 90.0  # of measuring: the whole command stays under two minutes


def refuse(message: str) -> NoReturn:
    """Say why the request cannot be carried out, and exit with status 2."""
    print(f"frugalblas: {message}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)


def run(options: argparse.Namespace) -> int:
    """``frugalblas bench``."""
    if options.from_file is not None:
        return show_file(options)
    try:
        chosen, result = prepare(options)
        destination = None if options.json in (None, "-") else schema.Destination(options.json)
        shown = outputs.prepare(options)
    except RequestError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"--json: {options.json!r} cannot be written: {error.strerror}")
    try:
        here = engine.LocalEngine()
        runner.run(chosen, here, progress.for_stream(), result)
        joules.measure(chosen, here, progress.for_stream(), result)
    except RequestError as error:
        refuse(str(error))
    status = exit_status(result)
    if destination is not None:  # before the table: whoever reads that may have gone
        try:
            destination.write(schema.to_json(result))
        except OSError as error:
            print(f"frugalblas: {options.json!r} was not written: {error.strerror}", file=sys.stderr)
            status = EXIT_BAD_RESULT
    try:
        show(render(result, page_width()), sys.stderr if options.json == "-" else sys.stdout)
        if options.json == "-":
            show(schema.to_json(result), sys.stdout)
    finally:  # even if the reader of the table has gone
        status = max(status, write_outputs(shown, result))
    if options.report is None:
        print(page_hint(options.json), file=sys.stderr)
    return status


def page_hint(json_path: str | None) -> str:
    """How to get the page of a run that was shown as a table."""
    if json_path in (None, "-"):
        return "For a page with charts add: --report page.html"
    return f"For a page with charts: frugalblas bench --from {json_path} --report page.html"


def write_outputs(shown: outputs.Outputs, result: Result) -> int:
    """Pages and figures; the exit status that they call for."""
    problems = shown.write(result)
    for problem in problems:
        print(f"frugalblas: {problem}", file=sys.stderr)
    return EXIT_BAD_RESULT if problems else EXIT_OK


def prepare(options: argparse.Namespace) -> tuple[plan.Plan, Result]:
    """The plan that the options ask for, and its blank result; RequestError for a bad value."""
    cards = frugalblas.algorithms()
    seconds = parse_seconds(options.seconds)
    seed = parse_seed(options.seed)
    sizes = (
        cases.parse_sizes(options.sizes)
        if options.sizes is not None
        else [cases.Size(n, n, n) for n in cases.LADDER_EDGES]
    )
    threads = None if options.threads is None else cases.parse_threads(options.threads)
    if threads is not None and threads[-1] > _core.max_threads():
        raise RequestError(f"--threads: {threads[-1]} is more than the {_core.max_threads()} allowed here")
    strategies = cases.parse_strategies(options.algo, cards)
    chosen = plan.Plan(
        cards=cards,
        cases=cases.build_cases(strategies, cards, sizes, threads, frugalblas.get_num_threads()),
        seconds=seconds,
        seed=seed,
        threads=threads,
        sizes_may_shrink=options.sizes is None,
        memory_bytes=machine.available_bytes(),
    )
    result = plan.blank_result(chosen, frugalblas.info(), machine.source())
    without = [str(strategy) for strategy in strategies if strategy not in {case.strategy for case in chosen.cases}]
    if without:
        result["notes"].append(f"not run, because --threads leaves out 1: {', '.join(without)} (one thread only)")
    return chosen, result


def parse_seconds(text: str | None) -> float:
    """The time budget; RequestError unless it is above 0 and finite."""
    try:
        seconds = DEFAULT_SECONDS if text is None else float(text)
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
    measuring = ("algo", "sizes", "threads", "seconds", "seed", "json")
    others = [name for name in measuring if getattr(options, name) is not None]
    if others:
        refuse(f"--from shows a kept run and measures nothing: it cannot go with --{others[0]}")
    try:
        result = schema.read(options.from_file)
    except schema.BadResult as error:
        refuse(f"--from: {options.from_file!r} cannot be read: {error}")
    except OSError as error:
        refuse(f"--from: {options.from_file!r} cannot be read: {error.strerror}")
    try:
        shown = outputs.prepare(options)
    except RequestError as error:
        refuse(str(error))
    show(render(result, page_width()), sys.stdout)
    return max(exit_status(result), write_outputs(shown, result))


def exit_status(result: Result) -> int:
    """Of a finished or interrupted run."""
    if result["interrupted"]:
        return EXIT_INTERRUPTED
    wrong = any(case["status"] in ("wrong", "failed") for case in result["cases"])
    return EXIT_BAD_RESULT if wrong else EXIT_OK
