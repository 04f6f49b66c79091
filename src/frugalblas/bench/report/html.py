"""HTML in which everything that is not markup of ours is escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

VOID = frozenset(("meta", "link", "br", "hr", "input"))


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """``<name …>children</name>``. Children that are no Html are escaped, as are all attribute values.

    Attributes: ``class_`` and ``for_`` lose the underscore, others turn it into a hyphen; None and False leave the
    attribute out, True gives it no value.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening) if name in VOID else Html(f"{opening}{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """One after the other; None leaves nothing."""
    return Html(
        "".join(
            child if isinstance(child, Html) else "" if child is None else html.escape(str(child)) for child in children
        )
    )


def embedded_json(document: Any, **attributes: object) -> Html:
    """A ``<script>`` with data. ``<`` and ``>`` are written as JSON's escapes: nothing in it can end the element."""
    return embedded_json_text(json.dumps(document, allow_nan=False, separators=(",", ":")), **attributes)


def embedded_json_text(text: str, **attributes: object) -> Html:
    """The same for text that is JSON already, in which these characters occur inside of strings only."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return element("script", Html(text), type="application/json", **attributes)


def table(head: Sequence[str], body: Sequence[Sequence[object]], left: int = 1, caption: str | None = None) -> Html:
    """A table; the first `left` columns are text, the others numbers. It scrolls sideways rather than the page."""
    numeric = [None if i < left else "n" for i in range(len(head))]
    cells = join(element("th", text, scope="col", class_=kind) for text, kind in zip(head, numeric, strict=True))
    rows = join(
        element(
            "tr",
            *(
                element("th", cell, scope="row") if i == 0 else element("td", cell, class_=numeric[i])
                for i, cell in enumerate(row)
            ),
        )
        for row in body
    )
    inner = [element("caption", caption)] if caption else []
    inner += [element("thead", element("tr", cells)), element("tbody", rows)]
    return element("div", element("table", *inner), class_="scroll", tabindex="0", role="region", aria_label="table")
