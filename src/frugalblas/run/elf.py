"""The little of an ELF file that says whether it can be preloaded into, and which names it imports and defines.

Source: System V ABI, chapters 4 and 5; 64-bit little-endian files, as on x86-64 and aarch64.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PT_DYNAMIC, PT_INTERP = 2, 3
SHT_RELA, SHT_DYNSYM = 4, 11
JUMP_SLOTS = (7, 1026)  # relocations of calls, on x86-64 and aarch64
DT_SYMBOLIC, DT_FLAGS, DF_SYMBOLIC = 16, 30, 2
RELOCATION = struct.Struct("<QQq")  # address, symbol << 32 | type, addend
SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section (0: imported), value, size


class Elf(NamedTuple):
    """What was found in one file."""

    interpreter: str | None
    """The dynamic loader it asks for; None for a library or a static program."""
    dynamic: bool
    """Whether it has a dynamic section at all."""
    symbolic: bool
    """Whether it binds its own names to itself (-Bsymbolic), so that no other library can take their place."""
    bits: int
    imports: frozenset[str] = frozenset()
    defines: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    """What it calls through its table, where another library's function can take the place: imports, and names of its
    own, as PyTorch has them."""


def read(path: Path | str, names: tuple[str, ...] = ()) -> Elf | None:
    """Read `path`; None if it is no ELF file or cannot be read. Of its symbols, those among `names` are looked up."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data, names)
    except (OSError, ValueError, struct.error, IndexError):
        return None


def _read(data: mmap.mmap, names: tuple[str, ...]) -> Elf | None:
    if data[:4] != b"\x7fELF":
        return None
    if data[4] != 2:
        return Elf(None, dynamic=True, symbolic=False, bits=32)
    segments, sections = struct.unpack_from("<QQ", data, 32)
    segment_size, segment_count, section_size, section_count = struct.unpack_from("<HHHH", data, 54)
    interpreter, table = None, None
    for i in range(segment_count):
        kind, _flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, segments + i * segment_size)
        if kind == PT_INTERP:
            interpreter = data[offset : offset + length].rstrip(b"\0").decode(errors="replace")
        if kind == PT_DYNAMIC:
            table = dict(struct.iter_unpack("<QQ", data[offset : offset + length]))
    if table is None:
        return Elf(interpreter, dynamic=False, symbolic=False, bits=64)
    symbolic = DT_SYMBOLIC in table or bool(table.get(DT_FLAGS, 0) & DF_SYMBOLIC)
    headers = [struct.unpack_from("<IIQQQQII", data, sections + i * section_size) for i in range(section_count)]
    imports: set[str] = set()
    defines: set[str] = set()
    numbers: dict[int, str] = {}
    for _name, kind, _flags, _address, offset, length, link, _info in headers if names else ():
        if kind != SHT_DYNSYM:
            continue
        wanted = _offsets(data, headers[link][4], headers[link][5], names)
        # A library such as PyTorch's has 100,000 symbols: only those with a wanted name are unpacked further.
        symbols = SYMBOL.iter_unpack(data[offset : offset + length]) if wanted else ()
        for number, (name, _, _, section, _, _) in enumerate(symbols):
            if name in wanted:
                (defines if section else imports).add(wanted[name])
                numbers[number] = wanted[name]
    tables = [(header[4], header[5]) for header in headers if header[1] == SHT_RELA and numbers]
    calls = {numbers[number] for table in tables for number in _called(data, *table) if number in numbers}
    return Elf(interpreter, True, symbolic, 64, frozenset(imports), frozenset(defines), frozenset(calls))


def _called(data: mmap.mmap, offset: int, length: int) -> Iterator[int]:
    """Numbers of the symbols in a table of relocations, if it is the one of calls (``.rela.plt``)."""
    if length >= RELOCATION.size and RELOCATION.unpack_from(data, offset)[1] & 0xFFFFFFFF in JUMP_SLOTS:
        for _, info, _ in RELOCATION.iter_unpack(data[offset : offset + length]):
            yield info >> 32


def _offsets(data: mmap.mmap, strings: int, size: int, names: tuple[str, ...]) -> dict[int, str]:
    """Where in the string table each name may be: also as the end of a longer one, as linkers merge them."""
    found = {}
    for name in names:
        needle, at = name.encode() + b"\0", strings
        while (at := data.find(needle, at, strings + size)) >= 0:
            found[at - strings] = name
            at += 1
    return found
