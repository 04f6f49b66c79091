"""The profile of a run, as text and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .families import family, module
from .records import Product, Records

SCHEMA = "frugalblas.run/1"
ROWS = 15
DASH = "–"
OTHER = "other shapes"


@dataclass
class Group:
    """Products that one line of the profile adds up."""

    label: tuple[str, ...]
    calls: int = 0
    seconds: float = 0.0
    flops: float = 0.0

    def add(self, product: Product) -> None:
        """Count `product` too."""
        self.calls += product.calls
        self.seconds += product.seconds
        self.flops += product.flops

    @property
    def gflops(self) -> float | None:
        """Speed in GFLOP/s; None if the time is too short for the clock."""
        return self.flops / self.seconds * 1e-9 if self.seconds > 0 else None


@dataclass
class Profile:
    """One run of a program."""

    command: Sequence[str]
    observed_only: bool
    returncode: int
    seconds: float
    records: Records
    energy: dict[str, Any]
    """``reading`` as `Reading.as_dict` gives it and ``text``; or only ``reason``."""
    notes: list[str] = field(default_factory=list)

    def groups(self, *keys: str) -> list[Group]:
        """Products with the same `keys` ("family", "routine", "shape", ...) added up, the longest first."""
        found: dict[tuple[str, ...], Group] = {}
        for product in self.records.products:
            label = tuple(_text(product, key) for key in keys)
            found.setdefault(label, Group(label)).add(product)
        return sorted(found.values(), key=lambda group: (-group.seconds, group.label))

    @property
    def total(self) -> Group:
        """All products."""
        total = Group(("all",))
        for product in self.records.products:
            total.add(product)
        return total


def _text(product: Product, key: str) -> str:
    if key == "family":
        return family(product.library)
    if key == "module":
        return module(product.library)
    if key == "shape":
        return " x ".join(map(str, product.shape)) if product.shape else OTHER
    return str(getattr(product, key))


def text(profile: Profile) -> str:
    """The profile for a terminal."""
    total = profile.total
    where = "on the BLAS they came from" if profile.observed_only else "on frugalblas"
    lines = [f"frugalblas run: {shlex.join(profile.command)}: {profile.seconds:.3f} s, {_ending(profile.returncode)}"]
    if total.calls:
        processes = len({product.pid for product in profile.records.products})
        lines[0] += f"; {total.calls} float32 products {where}"
        lines[0] += f" in {processes} processes" if processes > 1 else ""
        lines += ["", *_table(profile), ""]
        if any(product.routine == "ssyrk" for product in profile.records.products):
            lines.append("ssyrk: flops of the one triangle it is asked for")
        lines.append("share: of the run's time; calls in threads side by side each count in full")
    lines += profile.notes
    lines.append(profile.energy.get("text") or f"no joules: {profile.energy.get('reason')}")
    return "\n".join(lines) + "\n"


def _ending(returncode: int) -> str:
    return f"exit status {returncode}" if returncode >= 0 else f"ended by signal {-returncode}"


def _table(profile: Profile) -> list[str]:
    head = ("called by", "routine", "M x N x K", "calls", "seconds", "GFLOP/s", "share")
    rows: list[Iterable[str]] = []
    families = profile.groups("family")
    shapes = profile.groups("family", "routine", "shape")
    shown = shapes[:ROWS]
    for group in families:
        if len(families) > 1 or len(shapes) > 1:
            rows.append([group.label[0], "all", "", *_cells(group, profile.seconds)])
        for shape in shown:
            if shape.label[0] == group.label[0]:
                rows.append([*shape.label, *_cells(shape, profile.seconds)])
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    left = 3
    lines = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    if len(shapes) > ROWS:
        rest = sum(group.seconds for group in shapes[ROWS:])
        lines.append(f"... and {len(shapes) - ROWS} more shapes, {rest:.3g} s together (--json has them all)")
    return lines


def _cells(group: Group, run_seconds: float) -> list[str]:
    speed = DASH if group.gflops is None else f"{group.gflops:.3g}"
    return [str(group.calls), f"{group.seconds:.3g}", speed, f"{group.seconds / run_seconds:.1%}"]


def to_dict(profile: Profile) -> dict[str, Any]:
    """Everything, ready for JSON."""
    total = profile.total
    keys = ("family", "module", "symbol", "routine", "shape")
    return {
        "schema": SCHEMA,
        "command": list(profile.command),
        "mode": "observe" if profile.observed_only else "replace",
        "returncode": profile.returncode,
        "seconds": profile.seconds,
        "calls": total.calls,
        "product_seconds": total.seconds,
        "products": [
            {
                **dict(zip(keys, group.label[:4], strict=False)),
                **dict(zip("MNK", _sizes(group.label[4]), strict=True)),
                "calls": group.calls,
                "seconds": group.seconds,
                "flops": group.flops,
                "gflops": group.gflops,
                "share": group.seconds / profile.seconds,
            }
            for group in profile.groups(*keys)
        ],
        "processes": [
            {"pid": process.pid, "program": process.program, "ended": process.ended}
            for process in profile.records.processes
        ],
        "processes_with_products": sorted({product.pid for product in profile.records.products}),
        "lost_calls": profile.records.lost_calls,
        "notes": profile.notes,
        "energy": {key: value for key, value in profile.energy.items() if key != "text"},
    }


def _sizes(shape: str) -> list[int] | list[None]:
    return [None] * 3 if shape == OTHER else [int(number) for number in shape.split(" x ")]
