"""One call of a CUDA rung: its arguments checked, as integers for the extension `_cuda`."""

import math
from typing import Any

import numpy as np

from . import gpu
from .arrays import Array, empty_like
from .arrays import describe as describe_array

# Places in Precision and Accumulate of cuda/launch.h. fp16_acc16 sums in fp16 too, as on the course's slides.
PRECISIONS = {"fp32": (0, 0), "tf32": (1, 0), "fp16": (2, 0), "fp16_acc16": (2, 1), "bf16": (3, 0)}
TYPES = ("float32", "float16", "bfloat16")  # in the order of Type
# dtypes that a precision takes: float32 is rounded, the other is used as it is.
INPUTS = {
    "fp16": ("float32", "float16"),
    "fp16_acc16": ("float32", "float16"),
    "bf16": ("float32", "bfloat16"),
}


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} is {value!r}, expected True or False")


def _scalar(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, expected a real number") from None
    with np.errstate(over="ignore"):
        if math.isinf(np.float32(number)) and not math.isinf(number):
            raise ValueError(f"{name} is {value!r}, which float32 cannot hold; its largest value is 3.4028235e38")
    return number


def _lies(array: Array, transposed: bool) -> tuple[int, int, bool, int]:
    """Pointer, leading dimension, whether transposed, type: op(array) as cuda/launch.h has it."""
    (rows, cols), (s, t) = array.shape, array.strides
    if transposed:
        (rows, cols), (s, t) = (cols, rows), (t, s)
    kind = TYPES.index(array.dtype)
    if (t == 1 or cols <= 1) and (s >= cols or rows <= 1):
        return array.pointer, s if rows > 1 else max(cols, 1), False, kind
    if (s == 1 or rows <= 1) and (t >= rows or cols <= 1):
        return array.pointer, t if cols > 1 else max(rows, 1), True, kind
    raise ValueError(
        f"{array.name} has strides {array.strides} in elements; the CUDA rungs need one dimension contiguous and the "
        f"other at least as long: copy {array.name} first (numpy.ascontiguousarray, .contiguous())"
    )


def _check_places(arrays: list[Array]) -> int | None:
    """The GPU that all arrays are on; None for the host."""
    places = {array.device for array in arrays}
    if len(places) > 1:
        where = ", ".join(f"{a.name} {'in host memory' if a.device is None else f'on GPU {a.device}'}" for a in arrays)
        raise TypeError(f"the arrays lie in different memories ({where}); copy them to one place first")
    return places.pop()


def _check_out(C: Array, operands: list[Array], shape: tuple[int, int]) -> None:
    if C.shape != shape:
        raise ValueError(f"out has shape {C.shape}, expected {shape}, the shape of the product")
    if not C.writable:
        raise ValueError("out is read-only; pass a writeable array")
    for array in operands:
        if C.span[0] < array.span[1] and array.span[0] < C.span[1]:
            raise ValueError(f"out shares memory with {array.name}; pass an array of its own memory")


def _order(cuda: Any, arrays: list[Array], device: int) -> int:
    """The stream to work on: that of A, ordered after the others."""
    streams = [array.stream for array in arrays if array.stream is not None]
    stream = streams[0] if streams else 1
    for other in dict.fromkeys(streams[1:]):
        if other != stream:
            cuda.order_after(stream, other, device)
    return stream


def multiply(
    algo: str,
    A: Any,
    B: Any,
    *,
    out: Any = None,
    alpha: Any = 1.0,
    beta: Any = 0.0,
    trans_a: Any = False,
    trans_b: Any = False,
    threads: Any = None,
    precision: str = "fp32",
) -> Any:
    """alpha * op(A)·op(B) + beta * out on the GPU; the arguments of `sgemm`, the rung known to run here.

    NumPy arrays give a NumPy array, when it is complete. Arrays of a GPU give one of A's kind, at once: it is complete
    when the stream of its maker is.
    """
    cuda = gpu.module()
    assert cuda is not None
    if threads is not None and threads != 1:
        raise ValueError(f"threads is {threads!r}, but strategy {algo!r} runs on a GPU; pass None")
    alpha, beta = _scalar("alpha", alpha), _scalar("beta", beta)
    trans_a, trans_b = _flag("trans_a", trans_a), _flag("trans_b", trans_b)
    offered = INPUTS.get(precision, ("float32",))
    a, b = (describe_array(name, obj, offered, cuda.device_of) for name, obj in (("A", A), ("B", B)))
    M, K = a.shape[::-1] if trans_a else a.shape
    inner, N = b.shape[::-1] if trans_b else b.shape
    if inner != K:
        raise ValueError(f"inner dimensions differ: A is ({M}, {K}) and B is ({inner}, {N}) as multiplied")
    if out is None and beta != 0:
        raise ValueError(f"beta is {beta!r} but there is no out to multiply by it; pass out= or leave beta at 0")
    places = [a, b]
    if out is not None:
        places.append(describe_array("out", out, ("float32",), cuda.device_of))
    device = _check_places(places)
    if out is None:
        out = np.empty((M, N), np.float32) if device is None else empty_like(A, (M, N))
        places.append(describe_array("out", out, ("float32",), cuda.device_of))
    c = places[2]
    _check_out(c, [a, b], (M, N))
    if M == 0 or N == 0:
        return out
    left, right, result = _lies(a, trans_a), _lies(b, trans_b), _lies(c, False)
    if result[2]:  # C is column-major: its transpose is row-major, and the product of the operands' transposes
        M, N = N, M
        left, right = (right[0], right[1], not right[2], right[3]), (left[0], left[1], not left[2], left[3])
    job = (algo, M, N, K, left, right, result[:2], alpha, beta, *PRECISIONS[precision])
    if device is None:
        cuda.multiply_host(*job, 0)
    else:
        cuda.enqueue(*job, device, _order(cuda, places, device))
    return out


def describe(
    algo: str, A: Any, B: Any, *, asked: str, trans_a: bool = False, trans_b: bool = False, **_: Any
) -> dict[str, Any]:
    """What `explain` says of a call that goes to the GPU."""
    M, K = A.shape[::-1] if trans_a else A.shape
    N = B.shape[0] if trans_b else B.shape[1]
    reason = "the arrays are in a GPU's memory" if asked == "auto" else "asked for by name"
    return {"algo": algo, "variant": None, "threads": 1, "blocks": {}, "reason": reason, "M": M, "N": N, "K": K}
