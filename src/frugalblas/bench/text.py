"""Plain text tables and paragraphs of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

NONE = "–"


def table(head: Sequence[Sequence[str]], body: Sequence[Sequence[str]], left: int, gap: str = "  ") -> list[str]:
    """Lines of a table: `head` has one or more lines of cells, the first `left` columns are left-aligned.

    A line of `body` with a single cell stands alone, as wide as it likes.
    """
    columns = range(len(head[0]))
    cells = [line for line in (*head, *body) if len(line) == len(columns)]
    widths = [max(len(line[column]) for line in cells) for column in columns]

    def lay_out(line: Sequence[str]) -> str:
        if len(line) < len(columns):
            return line[0]
        parts = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return gap.join(parts).rstrip()

    rule = "-" * (sum(widths) + len(gap) * (len(widths) - 1))
    return [*(lay_out(line) for line in head), rule, *(lay_out(line) for line in body)]


def paragraph(text: str, width: int, hanging: str = "  ") -> list[str]:
    """Text broken into lines of at most `width` characters, the later ones indented."""
    return textwrap.wrap(text, width, subsequent_indent=hanging, break_on_hyphens=False)


def number(value: float) -> str:
    """Three significant digits; whole from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def count(n: int, one: str, many: str) -> str:
    """``1 case`` or ``2 cases``."""
    return f"{n} {one if n == 1 else many}"


def listed(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def optional(value: float | None) -> str:
    """A number, or a dash for what does not exist."""
    return NONE if value is None else number(value)


def percent(share: float | None) -> str:
    """A share of 1 in percent: no digit after the point from 10 %, two below 1 %."""
    if share is None:
        return NONE
    digits = 0 if share >= 0.0995 else 1 if share >= 0.00995 else 2
    return f"{share * 100:.{digits}f}%"


def times(ratio: float | None) -> str:
    """A ratio as a speed-up."""
    return NONE if ratio is None else f"{number(ratio)}x"
