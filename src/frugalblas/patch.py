"""NumPy's own float32 products on frugalblas: `A @ B` of programs that know nothing of it."""

import threading
from types import TracebackType
from typing import Literal, TypeAlias

from . import _core

Level: TypeAlias = Literal["ufunc", "blas"]

# What is in place, each with what puts it there and what takes it away. "blas" needs both.
_PARTS = {
    "ufunc": (_core.patch_matmul, _core.unpatch_matmul),
    "calls": (_core.patch_blas, _core.unpatch_blas),
}
_NEEDED: dict[str, tuple[str, ...]] = {"ufunc": ("ufunc",), "blas": ("ufunc", "calls")}

_lock = threading.Lock()
_users = dict.fromkeys(_PARTS, 0)
_active: list["Patch"] = []


class Patch:
    """One `patch_numpy`, in place since it was made. As a context manager it is undone at the end of the block."""

    def __init__(self, level: str) -> None:
        """Patches NumPy; see `patch_numpy`."""
        self.level = level
        with _lock:
            done = []
            try:
                for part in _NEEDED[level]:
                    if _users[part] == 0:
                        _PARTS[part][0]()
                    _users[part] += 1
                    done.append(part)
            except RuntimeError:
                for part in reversed(done):
                    _release(part)
                raise
            _active.append(self)

    def undo(self) -> None:
        """Undoes this patch; nothing if it is undone already.

        What was there before comes back with the last patch that is undone, in whatever order and thread that happens.
        Raises RuntimeError, and leaves all as it is, if another library has since put its own on top of it.
        """
        with _lock:
            if self not in _active:
                return
            for part in reversed(_NEEDED[self.level]):
                _release(part)
            _active.remove(self)

    def __enter__(self) -> "Patch":
        """The patch, which is in place already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undoes it."""
        self.undo()

    def __repr__(self) -> str:
        """Level and state."""
        return f"<patch_numpy(level={self.level!r}), {'active' if self in _active else 'undone'}>"


def _release(part: str) -> None:
    if _users[part] == 1:
        _PARTS[part][1]()
    _users[part] -= 1


def patch_numpy(level: Level = "ufunc") -> Patch:
    """Runs NumPy's float32 products on frugalblas, from now on or for a `with` block, in the whole process.

    Parameters
    ----------
    level : {'ufunc', 'blas'}
        'ufunc' exchanges the float32 loop of `numpy.matmul` by the function NumPy has for that: `A @ B`, `np.matmul`,
        `np.linalg.matrix_power`, `np.einsum(..., optimize=True)` and whatever else uses that ufunc. 'blas' (Linux, a
        NumPy linked with a BLAS) also redirects NumPy's calls of `cblas_sgemm`, `cblas_sgemv` and `cblas_ssyrk`:
        `np.dot`, `np.inner`, `np.tensordot`, `np.linalg.multi_dot`.

    Returns
    -------
    Patch
        A context manager; `undo()` does the same as the end of its block.

    Raises
    ------
    ValueError
        `level` is neither.
    RuntimeError
        This NumPy cannot be patched so; the message says why. Nothing has changed.

    Notes
    -----
    The patch is global: while it is in place the products of all threads run here, also in a `with` block. Patches
    nest and are counted; the last one undone brings back exactly what was there. A product that does not fit into
    memory here is computed by NumPy. Results have the same bits as those of `frugalblas.matmul`.
    """
    if level not in _NEEDED:
        raise ValueError(f"level is {level!r}, expected 'ufunc' or 'blas'")
    return Patch(level)


def unpatch_numpy() -> None:
    """Undoes the latest `patch_numpy` that is still in place.

    Raises RuntimeError if there is none, or if another library has since put its own patch on top of it.
    """
    with _lock:
        latest = _active[-1] if _active else None
    if latest is None:
        raise RuntimeError("NumPy is not patched; call patch_numpy() first")
    latest.undo()
