"""What is known of the libraries that make arrays of a GPU: PyTorch, CuPy, Numba, and who speaks the array API (JAX).

None of them is imported here: an array to multiply comes from a library that has been.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import Any

LEGACY_STREAM = 1  # as CUDA, DLPack and __cuda_array_interface__ number it
IMMUTABLE = ("jax", "jaxlib")


def package(obj: Any) -> str:
    """The package that the type of `obj` is from."""
    return type(obj).__module__.partition(".")[0]


def _torch(obj: Any) -> Any:
    return sys.modules.get("torch") if package(obj) == "torch" else None


def prefers_dlpack(obj: Any) -> bool:
    """Whether the maker's other interface says nothing of streams."""
    return hasattr(obj, "__dlpack__") and package(obj) in ("torch", *IMMUTABLE)


def current_stream(obj: Any) -> int | None:
    """The stream that the maker of `obj`, an array of DLPack, is working on; None if it does not say."""
    torch = _torch(obj)
    if torch is None or not obj.is_cuda:
        return None
    return int(torch.cuda.current_stream(obj.device).cuda_stream) or LEGACY_STREAM


@contextlib.contextmanager
def on_device_of(obj: Any) -> Iterator[None]:
    """PyTorch exports arrays of its current GPU only."""
    torch = _torch(obj)
    with contextlib.nullcontext() if torch is None else torch.cuda.device(obj.device):
        yield


def record_stream(obj: Any, stream: int) -> bool:
    """Tells the maker's allocator that `stream` uses the memory of `obj`; False if that must be seen to otherwise."""
    torch = _torch(obj)
    if torch is None:
        return False
    if stream != current_stream(obj):
        obj.record_stream(torch.cuda.ExternalStream(stream, device=obj.device))
    return True


def empty(obj: Any, shape: tuple[int, int], device: int) -> Any:
    """A new float32 array of the kind of `obj` on the same GPU; None if its maker takes a result, but lends no memory.

    Raises TypeError if the maker does neither: pass `out=` then.
    """
    library = sys.modules.get(package(obj))
    if package(obj) == "torch" and library is not None:
        return library.empty(shape, dtype=library.float32, device=obj.device)
    if package(obj) == "cupy" and library is not None:
        with obj.device:
            return library.empty(shape, dtype="float32")
    if package(obj) == "numba":
        cuda = importlib.import_module("numba.cuda")
        with cuda.gpus[device]:
            return cuda.device_array(shape, dtype="float32")
    if hasattr(_namespace(obj), "from_dlpack"):
        return None
    raise TypeError(f"arrays of type {type(obj).__module__}.{type(obj).__name__} cannot be made here; pass out=")


def _namespace(obj: Any) -> Any:
    return obj.__array_namespace__() if hasattr(obj, "__array_namespace__") else None


def adopt(obj: Any, result: Any) -> Any:
    """`result`, which has `__dlpack__`, as an array of the kind of `obj`, which owns its memory from then on."""
    return _namespace(obj).from_dlpack(result)
