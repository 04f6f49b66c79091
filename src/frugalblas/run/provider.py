"""A libblas.so.3 for this system: our sgemm, sgemv and ssyrk, and another library for the rest of BLAS.

Debian's alternatives system chooses one libblas.so.3, which must have all of BLAS and CBLAS. Ours has three routines in
both, and one entry "needs the library …" that names the one with the rest. That path is only known here, so the build
leaves room for it and this module writes it: no compiler and no patchelf needed.
"""

from __future__ import annotations

import glob
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import elf, libraries
from .libraries import Refused

PLACEHOLDER = b"FRUGALBLAS_REST_OF_BLAS"
# What the rest must have, of the Fortran interface and of the C one.
NEEDED = ("dgemm_", "sgemm_", "ssymm_", "cblas_dgemm", "cblas_sgemm")
# In the order of Debian's priorities: OpenBLAS, BLIS, the reference implementation.
CANDIDATES = (
    *("openblas-pthread/libblas.so.3", "openblas-openmp/libblas.so.3", "openblas-serial/libblas.so.3"),
    *("blis-pthread/libblas.so.3", "blis-openmp/libblas.so.3", "blis-serial/libblas.so.3", "blas/libblas.so.3"),
)
PRIORITY = 110  # above openblas-pthread's 100: who installs it wants it


@dataclass(frozen=True)
class Plan:
    """What will be written, and beside which library."""

    template: Path
    core: Path
    rest: Path

    def install(self, folder: Path) -> None:
        """Write libblas.so.3 and the library it needs. OSError if that fails."""
        folder.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: programs may have the old files mapped.
        core = folder / (libraries.CORE + ".new")
        shutil.copyfile(self.core, core)
        os.replace(core, folder / libraries.CORE)
        made = folder / "libblas.so.3.new"
        made.write_bytes(with_rest(self.template.read_bytes(), self.rest))
        os.replace(made, folder / "libblas.so.3")

    def text(self, folder: Path | None) -> str:
        """What was done, or would be, and how to choose it."""
        where = folder.absolute() if folder else Path("DIR")
        triplet = f"{platform.machine()}-linux-gnu"
        link, name = f"/usr/lib/{triplet}/libblas.so.3", f"libblas.so.3-{triplet}"
        return (
            f"{'written' if folder else 'would write'}: {where}/libblas.so.3 and {where}/{libraries.CORE}\n"
            f"sgemm, sgemv, ssyrk: frugalblas; the rest of BLAS: {self.rest}\n"
            "to make it this system's BLAS (Debian, Ubuntu; as root):\n"
            f"  update-alternatives --install {link} {name} {where}/libblas.so.3 {PRIORITY}\n"
            "to undo that:\n"
            f"  update-alternatives --remove {name} {where}/libblas.so.3\n"
            "for one program:\n"
            f"  LD_LIBRARY_PATH={where} PROGRAM\n"
        )


def plan(rest: Path | None) -> Plan:
    """Find the files. Refused if the rest of BLAS is not on this system, or not in the library that was named."""
    core = Path(libraries.path(libraries.CORE))
    template = Path(libraries.path(libraries.PROVIDER))
    return Plan(template, core, find_rest() if rest is None else checked(rest))


def find_rest() -> Path:
    """The best BLAS of the distribution. Refused if there is none."""
    for folder in (f"/usr/lib/{platform.machine()}-linux-gnu", "/usr/lib64", "/usr/lib"):
        for candidate in CANDIDATES:
            for path in glob.glob(f"{folder}/{candidate}"):
                if _missing(Path(path)) == []:
                    return Path(path)
    raise Refused("no library with the rest of BLAS was found; install one (Debian: libblas3), or name it with --rest")


def checked(path: Path) -> Path:
    """`path`, made absolute. Refused if it does not have what is needed."""
    missing = _missing(path)
    if missing is None:
        raise Refused(f"--rest: {path} is not a 64-bit shared library that can be read")
    if missing:
        raise Refused(f"--rest: {path} lacks {', '.join(missing)}; it must have all of BLAS and CBLAS")
    if (path.parent / libraries.CORE).exists():
        raise Refused(f"--rest: {path} is frugalblas itself; name the library with the rest of BLAS")
    return path.absolute()


def _missing(path: Path) -> list[str] | None:
    found = elf.read(path, NEEDED)
    if found is None or found.bits != 64 or not found.dynamic:
        return None
    return [name for name in NEEDED if name not in found.defines]


def with_rest(template: bytes, rest: Path) -> bytes:
    """The library with the path of `rest` in the entry left for it. Refused if it is too long."""
    start = template.find(PLACEHOLDER)
    if start < 0 or template.find(PLACEHOLDER, start + 1) >= 0:
        raise Refused("this build of libblas.so.3 has no room for the rest of BLAS; reinstall the package")
    room = template.index(b"\0", start) - start
    name = os.fsencode(rest)
    if len(name) > room:
        raise Refused(f"--rest: the path has {len(name)} bytes, and there is room for {room}: {rest}")
    return template[:start] + name.ljust(room, b"\0") + template[start + room :]
