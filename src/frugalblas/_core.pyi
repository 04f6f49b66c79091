"""Types of the compiled half. Hand-written; CI compares it with the extension."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, disjoint_base

_Matrix = npt.NDArray[np.float32]

commit: str
compiler: str
default_variant: str

@disjoint_base
class Packed:
    def __new__(cls, B: _Matrix, trans: bool = ..., variant: str | None = ...) -> Self: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def variant(self) -> str: ...
    def unpack(self) -> _Matrix: ...

def sgemm(
    A: _Matrix,
    B: _Matrix | Packed,
    *,
    out: _Matrix | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    trans_a: bool = False,
    trans_b: bool = False,
    algo: str = "auto",
    threads: int | None = None,
    precision: str = "fp32",
    stream: Any = None,
) -> _Matrix: ...
def explain(
    A: _Matrix,
    B: _Matrix | Packed,
    *,
    out: _Matrix | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    trans_a: bool = False,
    trans_b: bool = False,
    algo: str = "auto",
    threads: int | None = None,
    precision: str = "fp32",
    stream: Any = None,
) -> dict[str, Any]: ...
def matmul(
    A: Any,
    B: Any,
    /,
    out: Any = None,
    *,
    algo: str = "auto",
    threads: int | None = None,
    precision: str = "fp32",
    **kwargs: Any,
) -> Any: ...

matmul_gufunc: np.ufunc

def patch_matmul() -> None: ...
def unpatch_matmul() -> None: ...
def patch_blas() -> list[str]: ...
def unpatch_blas() -> None: ...
def count_products(on: bool) -> None: ...
def products() -> dict[str, int]: ...
def set_callbacks(
    arg0: dict[str, Callable[..., None]], arg1: dict[str, Callable[..., Any]], arg2: Callable[[str], NoReturn], /
) -> None: ...
def threads_variable() -> ContextVar[int]: ...
def entries() -> list[dict[str, Any]]: ...
def variants() -> list[dict[str, Any]]: ...
def cpu() -> dict[str, Any]: ...
def fma_burst(steps: int, level: str = ...) -> float: ...
def study_gemm(
    A: _Matrix,
    B: _Matrix,
    out: _Matrix,
    *,
    threads: int,
    MR: int,
    NR: int,
    MC: int,
    KC: int,
    NC: int,
    loop: str = "M",
    schedule: str = "static",
    chunk: int = 0,
) -> None: ...
def study_tiles() -> list[tuple[int, int]]: ...
def memory_sweep(
    a: npt.NDArray[np.float32],
    *,
    threads: int,
    b: npt.NDArray[np.float32] | None = None,
    c: npt.NDArray[np.float32] | None = None,
) -> float: ...
def openblas() -> dict[str, str]: ...
def openblas_hold_threads(arg0: int, /) -> int: ...
def openblas_release_threads(arg0: int, /) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(arg0: int, /) -> None: ...
def process_threads() -> int: ...
def limit_threads(arg0: int, /) -> int: ...
def max_threads() -> int: ...
def cgroup_cpus(root: str, most: int) -> int: ...
def free_workspace() -> None: ...
