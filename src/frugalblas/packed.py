"""A matrix packed once for many products: weights that stay while inputs change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core


class PackedMatrix(_core.Packed):
    """A float32 matrix (K, N), copied into the order in which the kernels read it. Made by `pack`.

    `sgemm(A, P)`, `matmul(A, P)` and `A @ P` take it in place of B. It holds a copy: later changes to B do not show. It
    never changes, so threads may share it, and its memory is freed with it. It is packed for the build of the kernels
    that was chosen at import (`variant`); pickled, it travels as the matrix and is packed again where it arrives.
    NumPy's functions get the matrix, unpacked on each call.
    """

    __slots__ = ()
    ndim = 2
    dtype = np.dtype(np.float32)

    @property
    def T(self) -> Any:  # noqa: N802, the name is NumPy's
        """Not offered: the panels lie one way."""
        raise AttributeError(
            "a PackedMatrix has no transpose, because its panels lie one way; pack that instead: "
            "frugalblas.pack(B, trans=True)"
        )

    def __len__(self) -> int:
        """K, the number of rows."""
        return self.shape[0]

    def __repr__(self) -> str:
        """Shape, build and size."""
        return f"<frugalblas.PackedMatrix {self.shape} of float32, packed for {self.variant}, {self.nbytes} bytes>"

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The matrix, unpacked."""
        if copy is False:
            raise ValueError("a PackedMatrix has to be unpacked to become an array; leave copy=False out")
        return self.unpack().astype(np.float32 if dtype is None else dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`A @ self` and np.matmul(A, self) run here; every other function of NumPy's gets the matrix."""
        if any(isinstance(array, PackedMatrix) for array in kwargs.get("out", ())):
            raise TypeError("out is a PackedMatrix, which never changes; pass an array")
        A = inputs[0]
        if ufunc is np.matmul and method == "__call__" and inputs[1] is self and set(kwargs) <= {"out"}:
            # Exact types: NumPy's rules for others, and for other dtypes, are NumPy's to follow.
            ours = [A, *kwargs.get("out", ())]
            if all(type(array) is np.ndarray and array.dtype == np.float32 and array.ndim for array in ours):
                return self._matmul(A, **kwargs)
        plain = (array.unpack() if isinstance(array, PackedMatrix) else array for array in inputs)
        return getattr(ufunc, method)(*plain, **kwargs)

    def _matmul(self, A: Any, /, out: Any = None, *, algo: str = "auto", **options: Any) -> Any:
        """A·self for A of shape (..., M, K) or (K,): what `matmul` calls."""
        unknown = sorted(options.keys() - {"threads", "precision"})
        if unknown:
            raise TypeError(
                f"matmul takes out, algo, threads and precision where B is a PackedMatrix, not {', '.join(unknown)}; "
                "for NumPy's other keywords pass numpy.asarray(B)"
            )
        if isinstance(out, tuple) and len(out) == 1:
            (out,) = out
        if not isinstance(A, np.ndarray) or A.ndim == 2:
            return _core.sgemm(A, self, out=out, algo=algo, **options)
        K, N = self.shape
        if A.ndim == 0 or A.shape[-1] != K:
            raise ValueError(f"A has shape {A.shape}, expected (..., M, {K}) or ({K},), since B is ({K}, {N})")
        shape = (*A.shape[:-1], N)
        if out is None:
            result = np.empty(shape, np.float32)
        elif isinstance(out, np.ndarray) and out.shape == shape:
            result = out
        else:
            found = f"shape {out.shape}" if isinstance(out, np.ndarray) else f"type {type(out).__name__}"
            raise ValueError(f"out has {found}, expected an array of shape {shape}, the shape of the product")
        if A.ndim == 1:
            _core.sgemm(A[None], self, out=result[None], algo=algo, **options)
        elif A.flags.c_contiguous and result.flags.c_contiguous:
            rows = math.prod(A.shape[:-1])
            _core.sgemm(A.reshape(rows, K), self, out=result.reshape(rows, N), algo=algo, **options)
        else:
            # One matrix after the other; none may be written over another that is still to be read.
            target = np.empty(shape, np.float32) if np.may_share_memory(A, result) else result
            for index in np.ndindex(A.shape[:-2]):
                _core.sgemm(A[index], self, out=target[index], algo=algo, **options)
            if target is not result:
                result[...] = target
        return result

    def __copy__(self) -> PackedMatrix:
        """Itself, since it never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedMatrix:
        """Itself, since it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """The matrix, to be packed for whatever CPU it is loaded on."""
        return pack, (self.unpack(),)


def pack(B: npt.NDArray[np.float32], trans: bool = False) -> PackedMatrix:
    """A copy of `B` in the order in which the kernels read it, for products that use the same B many times.

    `sgemm(A, P)` with P = pack(B) has the same bits for any number of threads, and reads B once from front to back
    whatever layout B had. It pays from the first few products on, most where A has few rows.

    Parameters
    ----------
    B : ndarray of float32, shape (K, N)
        Any strides. With `trans` the shape is (N, K), as layers often keep their weights.
    trans : bool
        Pack the transpose of `B`.

    Returns
    -------
    PackedMatrix of shape (K, N)
        A snapshot: later changes to `B` do not show. It takes about as much memory as `B`.

    Raises
    ------
    TypeError, ValueError
        `B` is not a native float32 matrix; as in `sgemm`.
    MemoryError
        The copy does not fit.
    """
    return PackedMatrix(B, trans)
