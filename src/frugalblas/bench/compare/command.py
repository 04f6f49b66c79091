"""``frugalblas compare``: from its options to its exit status."""

from __future__ import annotations

import argparse
import sys
import warnings

from .. import outputs, schema
from ..cases import RequestError
from ..output import page_width, show
from ..records import Result
from . import render
from .pairs import compare

EXIT_OK, EXIT_NOT_WRITTEN, EXIT_USAGE = 0, 1, 2


def run(options: argparse.Namespace) -> int:
    """``frugalblas compare A.json B.json``."""
    try:
        destination = None if options.report is None else outputs.page_destination(options.report)
        countries = parse_pair(options.country)
        a, b = read(options.a), read(options.b)
    except RequestError as error:
        print(f"frugalblas: {error}", file=sys.stderr)
        return EXIT_USAGE
    comparison = compare(a, b, countries)
    show(render.as_text(comparison, page_width()), sys.stdout)
    if destination is not None:
        try:
            destination.write(render.as_page(comparison))
        except OSError as error:
            print(f"frugalblas: --report: {options.report!r} was not written: {error.strerror}", file=sys.stderr)
            return EXIT_NOT_WRITTEN
    return EXIT_OK


def parse_pair(text: str | None) -> tuple[str, str] | None:
    """``FRA`` for both runs, or ``FRA,POL`` for A's and B's."""
    if text is None:
        return None
    names = [outputs.parse_countries(name)[0] for name in text.split(",")]
    if len(names) > 2:
        raise RequestError(f"--country: {text!r} names {len(names)} countries; expected one, or A's and B's: FRA,POL")
    return names[0], names[-1]


def read(path: str) -> Result:
    """The result in a file, what is doubtful about it said on stderr; RequestError if there is none."""
    try:
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            result = schema.read(path)
    except schema.BadResult as error:
        raise RequestError(f"{path!r} cannot be read: {error}") from None
    except OSError as error:
        raise RequestError(f"{path!r} cannot be read: {error.strerror}") from None
    for doubt in doubts:
        print(f"frugalblas: {doubt.message}", file=sys.stderr)
    return result
