"""The little of an ELF file that says whether it can be preloaded into, and which names it imports and defines.

Source: System V ABI, chapters 4 and 5; 64-bit little-endian files, as on x86-64 and aarch64.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

PT_DYNAMIC, PT_INTERP = 2, 3
SHT_DYNSYM = 11
DT_SYMBOLIC, DT_FLAGS, DF_SYMBOLIC = 16, 30, 2
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
    for _name, kind, _flags, _address, offset, length, link, _info in headers if names else ():
        if kind != SHT_DYNSYM:
            continue
        wanted = _offsets(data, headers[link][4], headers[link][5], names)
        # A library such as PyTorch's has 100,000 symbols: only those with a wanted name are unpacked further.
        for name, _, _, section, _, _ in SYMBOL.iter_unpack(data[offset : offset + length]) if wanted else ():
            if name in wanted:
                (defines if section else imports).add(wanted[name])
    return Elf(interpreter, True, symbolic, 64, frozenset(imports), frozenset(defines))


def _offsets(data: mmap.mmap, strings: int, size: int, names: tuple[str, ...]) -> dict[int, str]:
    """Where in the string table each name may be: also as the end of a longer one, as linkers merge them."""
    found = {}
    for name in names:
        needle, at = name.encode() + b"\0", strings
        while (at := data.find(needle, at, strings + size)) >= 0:
            found[at - strings] = name
            at += 1
    return found
