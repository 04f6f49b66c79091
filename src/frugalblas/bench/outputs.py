"""Where a result goes besides the terminal: a page, a folder of figures. Whatever cannot work is refused at once."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from frugalblas.energy import carbon

from . import plots, report
from .cases import RequestError
from .destination import Destination
from .records import Result
from .report import Assumptions

EXIT_NOT_WRITTEN = 1
PAGE_LIBRARY, PLOTS_LIBRARY = "vl_convert", "matplotlib"


@dataclass
class Outputs:
    """What is to be written once a result is there: option, path, and how."""

    writers: list[tuple[str, str, Callable[[Result], object]]] = field(default_factory=list)

    @contextlib.contextmanager
    def after(self, result: Result) -> Iterator[list[int]]:
        """Write everything after the block, even if the reader of its table has gone; what failed is said on stderr.

        Yields the exit statuses that this calls for, complete when the block has been left.
        """
        statuses = [0]
        try:
            yield statuses
        finally:
            for option, path, writer in self.writers:
                try:
                    writer(result)
                except OSError as error:
                    print(f"frugalblas: {option}: {path!r} was not written: {error.strerror}", file=sys.stderr)
                    statuses.append(EXIT_NOT_WRITTEN)


def prepare(options: Namespace) -> Outputs:
    """Check libraries, paths and values before anything is measured; RequestError for what cannot work."""
    outputs = Outputs()
    assumptions = assume(options.country, options.per_year)
    if (assumptions.countries or assumptions.calls_per_second) and options.report is None:
        option = "--country" if assumptions.countries else "--per-year"
        raise RequestError(f"{option} is about the page: it needs --report FILE")
    if options.report is not None:
        destination = page_destination(options.report, options.json)
        outputs.writers.append(
            ("--report", options.report, lambda result: destination.write(report.render(result, assumptions)))
        )
    if options.plots is not None:
        folder = plots_folder(options.plots)
        outputs.writers.append(("--plots", options.plots, lambda result: plots.write(result, folder)))
    return outputs


def page_destination(path: str, json_path: str | None = None) -> Destination:
    """For a page; RequestError if it cannot be written, or made."""
    need("--report", PAGE_LIBRARY, "vl-convert-python")
    if json_path not in (None, "-") and Path(path).resolve() == Path(str(json_path)).resolve():
        raise RequestError(f"--report and --json name the same file, {path!r}: one of them would be lost")
    try:
        return Destination(path)
    except OSError as error:
        raise RequestError(f"--report: {path!r} cannot be written: {error.strerror}") from None


def plots_folder(path: str) -> Path:
    """For figures, made if it is not there; RequestError if nothing can be written into it."""
    need("--plots", PLOTS_LIBRARY, "matplotlib")
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(f"--plots: nothing can be written into {path!r}: {os.strerror(error.errno or 0)}") from None
    return folder


def need(option: str, module: str, package: str) -> None:
    """RequestError if a library is not installed."""
    if importlib.util.find_spec(module) is None:
        raise RequestError(
            f"{option} needs {package}, which is not installed; install it with: pip install 'frugalblas[bench]'"
        )


def assume(countries: str | None, per_year: str | None) -> Assumptions:
    """The values of --country and --per-year."""
    return Assumptions(parse_countries(countries), parse_rate(per_year))


def parse_countries(text: str | None) -> tuple[str, ...]:
    """``FRA,POL``: ISO 3166 alpha-3 codes or names; RequestError naming the nearest for one that is not known."""
    found = []
    for name in text.split(",") if text is not None else []:
        try:
            found.append(carbon.intensity(name).iso3)
        except KeyError as error:
            raise RequestError(f"--country: {error.args[0]}") from None
    return tuple(dict.fromkeys(found))


def parse_rate(text: str | None) -> float | None:
    """Calls per second; RequestError unless above 0 and finite."""
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise RequestError(f"--per-year: {text!r} is not a rate; expected calls per second, above 0, for example 1000")
    return rate
