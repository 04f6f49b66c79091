"""The libraries compared: how each one starts, and how its product is called with everything prepared beforehand."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .shapes import Shape

Call = Callable[[], object]
Bind = Callable[[Shape, str, np.ndarray, np.ndarray, np.ndarray], Call]

REPEAT_LIBRARY = "COMPARISON_REPEAT"  # where the driver put the compiled repeat.c


class Missing(Exception):
    """The library is not installed; the message says what would install it."""


class Library:
    """A loaded library: version, settings as it reports them, and `bind` to prepare a call."""

    def __init__(
        self, version: str, bind: Bind, threads: int, kernel: str = "", bind_packed: Bind | None = None
    ) -> None:
        self.version, self.bind, self.threads, self.kernel = version, bind, threads, kernel
        self.bind_packed = bind_packed


def _open(path: Path | str, hint: str, mode: int = ctypes.DEFAULT_MODE) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path), mode=mode)
    except OSError as error:
        raise Missing(f"{error} ({hint})") from None


def _distribution_file(distribution: str, pattern: str) -> Path:
    """A shared library that a wheel carries, wherever the wheel put it."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        raise Missing(f"pip install {distribution}") from None
    for file in files:
        if file.match(pattern):
            return Path(str(file.locate()))
    raise Missing(f"the package {distribution} has no {pattern}")


def _leading(shape: Shape, layout: str) -> tuple[int, int, int]:
    M, N, K = shape
    return (K if layout[0] == "N" else M, N if layout[1] == "N" else K, N)


class Repeated:
    """A prepared call that a compiled loop repeats, so that small products are timed without an interpreter."""

    def __init__(self, loop: Any, *arguments: Any) -> None:
        self.loop, self.arguments = loop, arguments

    def __call__(self) -> None:
        self.repeat(1)

    def repeat(self, calls: int) -> None:
        if status := self.loop(calls, *self.arguments):
            raise RuntimeError(f"the library returned status {status}")


@functools.cache
def _loops() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[REPEAT_LIBRARY])


def _bind(function: Any, loop: Any, integer: Any, letters: dict[str, int]) -> Bind:
    pointer, letter = ctypes.c_void_p, ctypes.c_int
    matrices = [pointer, integer] * 3
    loop.argtypes = [ctypes.c_long, pointer, letter, letter, integer, integer, integer, *matrices]
    address = ctypes.cast(function, ctypes.c_void_p)

    def bind(shape: Shape, layout: str, A: np.ndarray, B: np.ndarray, C: np.ndarray) -> Call:
        lda, ldb, ldc = _leading(shape, layout)
        trans = [letters[letter] for letter in layout]
        return Repeated(loop, address, *trans, *shape, A.ctypes.data, lda, B.ctypes.data, ldb, C.ctypes.data, ldc)

    return bind


def bind_cblas(function: Any) -> Bind:
    loop = _loops().repeat_cblas
    loop.restype = None
    return _bind(function, loop, ctypes.c_int, {"N": 111, "T": 112})


def load_openblas(threads: int) -> Library:
    path = _distribution_file("scipy-openblas32", "libscipy_openblas*.so")
    library = _open(path, "pip install scipy-openblas32")
    library.scipy_openblas_get_corename.restype = ctypes.c_char_p
    library.scipy_openblas_set_num_threads(threads)
    return Library(
        importlib.metadata.version("scipy-openblas32"),
        bind_cblas(library.scipy_cblas_sgemm),
        library.scipy_openblas_get_num_threads(),
        library.scipy_openblas_get_corename().decode(),
    )


def load_mkl(threads: int) -> Library:
    path = _distribution_file("mkl", "libmkl_rt.so*")
    library = _open(path, "pip install mkl")
    library.MKL_Set_Num_Threads(threads)
    library.MKL_Set_Dynamic(0)
    return Library(importlib.metadata.version("mkl"), bind_cblas(library.cblas_sgemm), library.MKL_Get_Max_Threads())


def load_aocl(threads: int) -> Library:
    hint = "pip install aoclda"
    for needed in ("libomp*.so*", "libaoclutils*.so*"):
        _open(_distribution_file("aoclda", needed), hint, ctypes.RTLD_GLOBAL)
    library = _open(_distribution_file("aoclda", "libblis*.so*"), hint)
    library.bli_thread_set_num_threads.argtypes = [ctypes.c_int64]
    library.bli_thread_get_num_threads.restype = ctypes.c_int64
    library.bli_thread_set_num_threads(threads)
    return Library(
        importlib.metadata.version("aoclda"), bind_cblas(library.cblas_sgemm), library.bli_thread_get_num_threads()
    )


def load_blis(threads: int) -> Library:
    triplet = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    library = _open(f"/usr/lib/{triplet}/blis-pthread/libblis.so.4", "apt-get install libblis4-pthread")
    library.bli_arch_string.restype = ctypes.c_char_p
    library.bli_init()
    kernel = library.bli_arch_string(library.bli_arch_query_id()).decode()
    # Debian's BLIS does not know the newest CPUs and would run its generic kernel on them, at a fifth of their speed:
    # name the best set it has. It reads the variable once, so this process starts again.
    if kernel == "generic" and "avx512dq" in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        os.environ["BLIS_ARCH_TYPE"] = "0"  # skx: this version takes its numbers only
        os.execv(sys.executable, sys.orig_argv)
    library.bli_thread_set_num_threads.argtypes = [ctypes.c_int64]
    library.bli_thread_get_num_threads.restype = ctypes.c_int64
    library.bli_info_get_version_str.restype = ctypes.c_char_p
    library.bli_thread_set_num_threads(threads)
    return Library(
        library.bli_info_get_version_str().decode(),
        bind_cblas(library.cblas_sgemm),
        library.bli_thread_get_num_threads(),
        kernel,
    )


def load_onednn(threads: int) -> Library:
    library = _open("libdnnl.so.2", "apt-get install libdnnl2")
    gomp = _open("libgomp.so.1", "apt-get install libgomp1")
    gomp.omp_set_num_threads(threads)

    class Version(ctypes.Structure):
        _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int)]

    library.dnnl_version.restype = ctypes.POINTER(Version)
    version = library.dnnl_version().contents
    loop = _loops().repeat_dnnl
    loop.restype = ctypes.c_int
    bind = _bind(library.dnnl_sgemm, loop, ctypes.c_int64, {"N": ord("N"), "T": ord("T")})
    isa = f"effective ISA {library.dnnl_get_effective_cpu_isa():#x}"
    return Library(f"{version.major}.{version.minor}.{version.patch}", bind, gomp.omp_get_max_threads(), isa)


def load_torch(threads: int) -> Library:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise Missing("pip install torch==2.13.0") from None
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)

    def bind(shape: Shape, layout: str, A: np.ndarray, B: np.ndarray, C: np.ndarray) -> Call:
        a, b, c = (torch.from_numpy(array) for array in (A, B, C))
        a, b = (matrix if letter == "N" else matrix.T for matrix, letter in zip((a, b), layout, strict=True))
        return functools.partial(torch.mm, a, b, out=c)

    return Library(torch.__version__, bind, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())


def load_frugalblas(threads: int) -> Library:
    try:
        frugalblas = importlib.import_module("frugalblas")
    except ImportError:
        raise Missing("pip install .") from None

    def bind(shape: Shape, layout: str, A: np.ndarray, B: np.ndarray, C: np.ndarray) -> Call:
        a, b = (matrix if letter == "N" else matrix.T for matrix, letter in zip((A, B), layout, strict=True))
        return functools.partial(frugalblas.sgemm, a, b, out=C, threads=threads)

    # Through our own cblas_sgemm where this build has it: the same loop as for the others. Else from Python.
    kernel = frugalblas._core.default_variant
    shell = Path(frugalblas._core.__file__).with_name("libfrugalblas_blas.so")
    if shell.exists():
        frugalblas.set_num_threads(threads)
        bind, kernel = bind_cblas(ctypes.CDLL(str(shell)).cblas_sgemm), f"{kernel} (cblas_sgemm)"

    def bind_packed(shape: Shape, layout: str, A: np.ndarray, B: np.ndarray, C: np.ndarray) -> Call:
        if not hasattr(frugalblas, "pack"):
            raise Missing("not available: this build has no frugalblas.pack")
        a, b = (matrix if letter == "N" else matrix.T for matrix, letter in zip((A, B), layout, strict=True))
        return functools.partial(frugalblas.sgemm, a, frugalblas.pack(b), out=C, threads=threads)

    # `threads` is asked for per call, and honoured or refused: there is nothing to read back before one.
    return Library(frugalblas.__version__, bind, threads, kernel, bind_packed)


OURS = "frugalblas"
LIBRARIES: dict[str, Callable[[int], Library]] = {
    OURS: load_frugalblas,
    "openblas": load_openblas,
    "mkl": load_mkl,
    "aocl": load_aocl,
    "onednn": load_onednn,
    "blis": load_blis,
    "torch": load_torch,
}
# The group "forced": every library held to AVX2 by its own switch.
FORCED_ISA = {
    OURS: {"FRUGALBLAS_ISA": "v3"},
    "openblas": {"OPENBLAS_CORETYPE": "Haswell"},
    "onednn": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
}
# What `kernel` must say when the switch took (for oneDNN, dnnl_cpu_isa_avx2).
FORCED_KERNEL = {OURS: "v3", "openblas": "Haswell", "onednn": "effective ISA 0x7"}
