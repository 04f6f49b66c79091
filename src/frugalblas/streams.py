"""CUDA streams: which one a call works on, and how long it keeps the arrays of others.

The rules are those of DLPack and of `__cuda_array_interface__` 3; nothing here waits for a GPU.
"""

from collections import deque
from typing import Any

from .makers import LEGACY_STREAM

_held: deque[tuple[int, Any]] = deque()  # events, and what must live until they have passed


def pointer(stream: Any) -> int | None:
    """The number of a stream that a caller named; None for None. CUDA's default stream, 0, has number 1 here.

    Raises TypeError for what is no stream, ValueError for a number that is none.
    """
    if stream is None:
        return None
    found = stream
    if hasattr(stream, "__cuda_stream__"):  # cuda.core's protocol: (version, pointer)
        said = stream.__cuda_stream__
        found = (said() if callable(said) else said)[1]
    elif hasattr(stream, "cuda_stream"):  # PyTorch
        found = stream.cuda_stream
    elif hasattr(stream, "ptr"):  # CuPy
        found = stream.ptr
    if isinstance(found, bool) or not hasattr(found, "__index__"):
        raise TypeError(
            f"stream is {stream!r}, expected an int or an object with __cuda_stream__, .cuda_stream (PyTorch) "
            "or .ptr (CuPy)"
        )
    number = int(found)
    if number < 0:
        raise ValueError(f"stream is {stream!r}; a stream's number is 1 (legacy default), 2 (per thread) or a pointer")
    return number or LEGACY_STREAM


def release(cuda: Any) -> None:
    """Lets go of what streams have passed."""
    for _ in range(len(_held)):
        try:
            event, arrays = _held.popleft()
        except IndexError:  # another thread was faster
            return
        if not cuda.passed(event):
            _held.append((event, arrays))


def hold(cuda: Any, arrays: list[Any], stream: int, device: int) -> None:
    """Keeps `arrays` alive until `stream` has passed what it holds now: checked by the calls that follow."""
    _held.append((cuda.mark(stream, device), arrays))
