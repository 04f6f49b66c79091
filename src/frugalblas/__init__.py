"""Every way to multiply two float32 matrices, behind one function: what each costs in time and in joules.

`sgemm(A, B)` takes our fastest strategy for the shape, `sgemm(A, B, algo="blocked", threads=1)` one rung of the ladder;
`matmul` follows all of np.matmul's rules, `patch_numpy()` brings it to programs that say `A @ B`;
`algorithms()` lists the rungs, `explain(A, B)` says what a call would do, `info()` what was found on this machine.
"""

import sys as _sys

TYPE_CHECKING = False  # what the module typing defines, without importing it
if TYPE_CHECKING:
    from typing import Any as _Any
del TYPE_CHECKING

# Commands such as `frugalblas run` need nothing of this, and would have another program wait for NumPy.
if not getattr(_sys.modules.get("_frugalblas_command"), "without_kernels", False):
    from importlib.metadata import version as _version

    from ._core import explain, matmul, sgemm
    from .accuracy import accuracy
    from .algorithms import Algorithm, AlgorithmUnavailable, algorithms
    from .controller import register as _register
    from .packed import PackedMatrix, pack
    from .patch import Patch, patch_numpy, unpatch_numpy
    from .system import free_workspace, info
    from .threads import get_num_threads, num_threads, set_num_threads

    __version__ = _version("frugalblas")
    _register()  # with threadpoolctl, where it is installed

__all__ = [
    "Algorithm",
    "AlgorithmUnavailable",
    "PackedMatrix",
    "Patch",
    "__version__",
    "accuracy",
    "algorithms",
    "explain",
    "free_workspace",
    "get_num_threads",
    "info",
    "matmul",
    "num_threads",
    "pack",
    "patch_numpy",
    "set_num_threads",
    "sgemm",
    "unpatch_numpy",
]


def __getattr__(name: str) -> "_Any":
    # Loaded on first use: a program that only multiplies does not pay for it.
    if name == "energy":
        from importlib import import_module

        return import_module(".energy", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
