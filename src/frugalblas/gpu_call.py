"""One call of a CUDA rung: its arguments checked, as integers for the extension `_cuda`."""

import math
from typing import Any

import numpy as np

from . import gpu, makers, streams
from .algorithms import AlgorithmUnavailable
from .arrays import Array, producer_stream
from .arrays import describe as describe_array
from .threads import get_num_threads

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
    if C.read_only:
        raise ValueError(f"out {C.read_only}")
    for array in operands:
        empty = 0 in C.shape or 0 in array.shape
        if not empty and C.span[0] < array.span[1] and array.span[0] < C.span[1]:
            raise ValueError(f"out shares memory with {array.name}; pass an array of its own memory")


def _stream(asked: Any, arrays: dict[str, Any]) -> int:
    """The stream to work on: the caller's, else that of the first array whose maker tells, else the default one."""
    stream = streams.pointer(asked)
    if stream is not None:
        if all(isinstance(obj, np.ndarray) for obj in arrays.values()):
            raise ValueError(f"stream is {asked!r}, but NumPy arrays are multiplied on streams of the call's own")
        return stream
    told = (producer_stream(name, obj) for name, obj in arrays.items())
    return next((stream for stream in told if stream is not None), makers.LEGACY_STREAM)


def _order(cuda: Any, places: list[Array], stream: int, device: int) -> None:
    """Has `stream` wait for what fills the arrays."""
    for other in dict.fromkeys(array.stream for array in places):
        if other is not None and other != stream:
            cuda.order_after(stream, other, device)


def _keep(cuda: Any, objects: list[Any], places: list[Array], stream: int, device: int) -> None:
    """Sees to it that no maker uses the memory of these objects again before `stream` is done with it."""
    held = [
        place.owner
        for obj, place in zip(objects, places, strict=False)
        if place.stream != stream and not makers.record_stream(obj, stream)
    ]
    if held:
        streams.hold(cuda, held, stream, device)


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
    stream: Any = None,
) -> Any:
    """alpha * op(A)·op(B) + beta * out on the GPU; the arguments of `sgemm`, the rung known to run here.

    NumPy arrays give a NumPy array, when it is complete. Arrays of a GPU give one of A's kind, at once: it is complete
    when the stream is, which is `stream`, or else that of A's maker.
    """
    cuda = gpu.module()
    assert cuda is not None
    if threads is not None and threads != 1:
        raise ValueError(f"threads is {threads!r}, but strategy {algo!r} runs on a GPU; pass None")
    alpha, beta = _scalar("alpha", alpha), _scalar("beta", beta)
    trans_a, trans_b = _flag("trans_a", trans_a), _flag("trans_b", trans_b)
    given = {"A": A, "B": B} if out is None else {"A": A, "B": B, "out": out}
    work = _stream(stream, given)
    offered = INPUTS.get(precision, ("float32",))
    places = [
        describe_array(name, obj, ("float32",) if name == "out" else offered, cuda.device_of, work)
        for name, obj in given.items()
    ]
    a, b = places[:2]
    M, K = a.shape[::-1] if trans_a else a.shape
    inner, N = b.shape[::-1] if trans_b else b.shape
    if inner != K:
        raise ValueError(f"inner dimensions differ: A is ({M}, {K}) and B is ({inner}, {N}) as multiplied")
    if out is None and beta != 0:
        raise ValueError(f"beta is {beta!r} but there is no out to multiply by it; pass out= or leave beta at 0")
    device = _check_places(places)
    reason = gpu.unavailable(algo, precision, device or 0)  # of several GPUs, this one
    if reason is not None:
        raise AlgorithmUnavailable(f"{algo!r} cannot run on GPU {device or 0}: {reason}")
    result, adopted = (out, False) if out is not None else _new_result(cuda, A, (M, N), device, work)
    if out is None:
        places.append(describe_array("out", result, ("float32",), cuda.device_of, work))
    c = places[2]
    _check_out(c, [a, b], (M, N))
    if M and N:
        job = (*_job(algo, (M, N, K), a, b, c, trans_a, trans_b), alpha, beta, *PRECISIONS[precision])
        if device is None:
            cuda.multiply_host(*job, 0, get_num_threads())
        else:
            streams.release(cuda)
            _order(cuda, places, work, device)
            cuda.enqueue(*job, device, work)
            _keep(cuda, [A, B] if adopted else [A, B, result], places, work, device)
    return makers.adopt(A, result) if adopted else result


def _new_result(cuda: Any, A: Any, shape: tuple[int, int], device: int | None, stream: int) -> tuple[Any, bool]:
    """An array for the product, and whether A's maker has still to adopt it."""
    if device is None:
        return np.empty(shape, np.float32), False
    made = makers.empty(A, shape, device)
    return (cuda.Buffer(*shape, device, stream), True) if made is None else (made, False)


def _job(
    algo: str, shape: tuple[int, int, int], a: Array, b: Array, c: Array, trans_a: bool, trans_b: bool
) -> tuple[Any, ...]:
    M, N, K = shape
    left, right, result = _lies(a, trans_a), _lies(b, trans_b), _lies(c, False)
    if result[2]:  # C is column-major: its transpose is row-major, and the product of the operands' transposes
        M, N = N, M
        left, right = (right[0], right[1], not right[2], right[3]), (left[0], left[1], not left[2], left[3])
    return algo, M, N, K, left, right, result[:2]


def describe(
    algo: str, A: Any, B: Any, *, asked: str, trans_a: bool = False, trans_b: bool = False, **_: Any
) -> dict[str, Any]:
    """What `explain` says of a call that goes to the GPU."""
    M, K = A.shape[::-1] if trans_a else A.shape
    N = B.shape[0] if trans_b else B.shape[1]
    reason = "the arrays are in a GPU's memory" if asked == "auto" else "asked for by name"
    return {"algo": algo, "variant": None, "threads": 1, "blocks": {}, "reason": reason, "M": M, "N": N, "K": K}
