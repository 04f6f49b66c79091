"""Reads what libfrugalblas_observe.so has written: cpp/blas/observe.hpp and observe.cpp describe the files."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

HEADER = struct.Struct("<8sIIIIIIQ24x")
SLOT = struct.Struct("<QQqqqQQdQIIII")
MAGIC = b"FBPROF1\0"
ROUTINES = ("sgemm", "sgemv", "ssyrk", "sgemm_batch")


@dataclass(frozen=True)
class Product:
    """Calls of one name with one shape from one library, in one process."""

    pid: int
    library: str
    """Path of the file the call came from; "" if it is unknown."""
    symbol: str
    routine: str
    shape: tuple[int, int, int] | None
    """M, N, K (sgemv: K is 1; ssyrk: M is N); None for several, and for those for which a table had no room left."""
    calls: int
    """Of sgemm_batch, the products in them."""
    seconds: float
    flops: float
    forwarded: bool


@dataclass
class Process:
    """One program that was started with the library preloaded."""

    pid: int
    program: str = ""
    loaded: list[str] = field(default_factory=list)
    """The libraries it had at its end; empty if it did not end by itself."""
    ended: bool = False
    lost: str = ""
    """Why it could not record; "" if it could."""


@dataclass
class Records:
    """All of a run."""

    products: list[Product]
    processes: list[Process]
    lost_calls: int


def read(folder: Path | str) -> Records:
    """Everything in `folder`. A file that is cut short (a full disk) counts for what it holds."""
    folder, records = Path(folder), Records([], [], 0)
    for path in sorted(folder.glob("*.table")):
        _read_table(path.read_bytes(), records)
    for path in sorted(folder.glob("*.process")):
        records.processes.append(_process(path))
    return records


def _process(path: Path) -> Process:
    process = Process(int(path.name.split("-")[0]))
    for line in path.read_text(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        if word == "program":
            process.program = rest
        elif word == "loaded":
            process.loaded.append(rest)
        elif word == "ended":
            process.ended = True
        elif word == "lost":
            process.lost = rest
    return process


def _read_table(data: bytes, records: Records) -> None:
    if len(data) < HEADER.size:
        return
    magic, slot_bytes, slots, text_bytes, pid, _used, _text_used, lost = HEADER.unpack_from(data)
    if magic != MAGIC or slot_bytes != SLOT.size:
        return
    records.lost_calls += lost
    text = data[HEADER.size : HEADER.size + text_bytes]

    def string(offset: int) -> str:
        return text[offset : text.index(b"\0", offset)].decode(errors="replace") if offset else ""

    start = HEADER.size + text_bytes
    for at in range(start, min(start + slots * SLOT.size, len(data) - SLOT.size + 1), SLOT.size):
        caller, _symbol, m, n, k, calls, nanoseconds, flops, original, routine, module, name, _ = SLOT.unpack_from(
            data, at
        )
        if not caller or not calls:
            continue
        shape = None if m < 0 else (m, n, k)
        seconds = nanoseconds * 1e-9
        where = (pid, string(module), string(name), ROUTINES[routine], shape)
        records.products.append(Product(*where, calls, seconds, flops, forwarded=original != 0))
