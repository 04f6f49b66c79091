"""Arrays as the CUDA rungs take them: where a matrix lies, whoever made it, without a copy.

Understood are NumPy arrays, objects with `__cuda_array_interface__` (version 2 or 3: CuPy, Numba) and objects with
`__dlpack__` (PyTorch, JAX). Streams follow those protocols: work is ordered after the producer's, never synchronised.

Sources: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html, https://dmlc.github.io/dlpack/latest/
"""

import ctypes
import importlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

CUDA_DEVICES = (2, 13)  # kDLCUDA, kDLCUDAManaged of dlpack.h
LEGACY_STREAM = 1  # as both protocols and cudaStreamLegacy number it
DTYPES = {(2, 32): "float32", (2, 16): "float16", (4, 16): "bfloat16"}  # DLDataTypeCode, bits


@dataclass(frozen=True)
class Array:
    """A two-dimensional array in the memory of the host or of one GPU."""

    name: str
    """What the caller knows it as, for messages."""
    pointer: int
    shape: tuple[int, int]
    strides: tuple[int, int]
    """In elements."""
    dtype: str
    """"float32", "float16" or "bfloat16"."""
    device: int | None
    """Number of the GPU; None: host memory."""
    stream: int | None
    """Holds the work that fills the array; None if nothing is under way."""
    writable: bool
    owner: Any
    """Keeps the memory alive."""

    @property
    def span(self) -> tuple[int, int]:
        """First address and the one behind the last."""
        size = 4 if self.dtype == "float32" else 2
        reach = [(n - 1) * s * size if n else 0 for n, s in zip(self.shape, self.strides, strict=True)]
        return self.pointer + sum(min(r, 0) for r in reach), self.pointer + sum(max(r, 0) for r in reach) + size


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _pair(name: str, values: Any) -> tuple[int, int]:
    if len(values) != 2:
        raise ValueError(f"{name} has {len(values)} dimensions, shape {tuple(values)}, expected 2")
    return int(values[0]), int(values[1])


def _dtype(name: str, found: str, offered: tuple[str, ...]) -> str:
    if found not in offered:
        raise TypeError(f"{name} has dtype {found}, expected {' or '.join(offered)}; convert it first")
    return found


def _from_numpy(name: str, array: "np.ndarray[Any, Any]", offered: tuple[str, ...]) -> Array:
    dtype = _dtype(name, str(array.dtype), offered)
    shape, strides = _pair(name, array.shape), _pair(name, array.strides)
    size = array.itemsize
    if not array.flags.aligned or any(n > 1 and s % size for n, s in zip(shape, strides, strict=True)):
        raise ValueError(f"{name} is not aligned to {size} bytes; copy it with {name}.copy()")
    elements = (strides[0] // size, strides[1] // size)
    return Array(name, array.ctypes.data, shape, elements, dtype, None, None, array.flags.writeable, array)


def _from_interface(name: str, obj: Any, offered: tuple[str, ...], device_of: Any) -> Array:
    interface = obj.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise TypeError(f"{name} has a mask, and a product cannot honour it")
    shape = _pair(name, interface["shape"])
    dtype = np.dtype(interface["typestr"])
    if not dtype.isnative:
        raise TypeError(f"{name} has byte-swapped dtype {interface['typestr']!r}, expected native float32")
    kind = _dtype(name, str(dtype), offered)
    strides = interface.get("strides") or (shape[1] * dtype.itemsize, dtype.itemsize)
    if any(s % dtype.itemsize for s in strides):
        raise ValueError(f"{name} has strides {tuple(strides)}, which are no whole elements of {dtype.itemsize} bytes")
    stream = interface.get("stream")
    if stream == 0:
        raise ValueError(f"{name}.__cuda_array_interface__ has stream 0, which the protocol forbids: 1 or 2 is meant")
    pointer, read_only = interface["data"]
    elements = (strides[0] // dtype.itemsize, strides[1] // dtype.itemsize)
    return Array(
        name, int(pointer or 0), shape, elements, kind, device_of(int(pointer or 0)), stream, not read_only, obj
    )


def _current_stream(obj: Any, device: int) -> int:
    """The stream that the maker of `obj` is working on; the legacy default stream if it does not say."""
    package = type(obj).__module__.partition(".")[0]
    torch = sys.modules.get("torch")
    if package == "torch" and torch is not None:
        return int(torch.cuda.current_stream(device).cuda_stream) or LEGACY_STREAM
    return LEGACY_STREAM


def _from_dlpack(name: str, obj: Any, offered: tuple[str, ...]) -> Array:
    device_type, device = obj.__dlpack_device__()
    if int(device_type) not in CUDA_DEVICES:
        raise TypeError(f"{name} is not in a GPU's memory (DLPack device type {int(device_type)}); pass a NumPy array")
    stream = _current_stream(obj, int(device))
    capsule = obj.__dlpack__(stream=stream)
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # The capsule is not consumed: it stays alive with the Array, and its own destructor releases the tensor.
    tensor = _DLTensor.from_address(get(capsule, b"dltensor"))
    found = DTYPES.get((tensor.code, tensor.bits), f"of code {tensor.code} and {tensor.bits} bits")
    dtype = _dtype(name, found if tensor.lanes == 1 else f"{found} in vectors", offered)
    shape = _pair(name, tensor.shape[: tensor.ndim])
    strides = _pair(name, tensor.strides[: tensor.ndim]) if tensor.strides else (shape[1], 1)
    # JAX's arrays are immutable, and this version of the protocol has no flag that says so.
    writable = type(obj).__module__.partition(".")[0] not in ("jax", "jaxlib")
    pointer = int(tensor.data or 0) + int(tensor.byte_offset)
    return Array(name, pointer, shape, strides, dtype, int(device), stream, writable, (obj, capsule))


def describe(name: str, obj: Any, offered: tuple[str, ...], device_of: Any) -> Array:
    """Where `obj` lies. `device_of(pointer)` tells the GPU that memory belongs to.

    Raises TypeError for an object of no known protocol or another dtype, ValueError for a shape that is no matrix.
    """
    if isinstance(obj, np.ndarray):
        return _from_numpy(name, obj, offered)
    # PyTorch's own interface carries no stream, its DLPack does.
    if hasattr(obj, "__dlpack__") and type(obj).__module__.partition(".")[0] == "torch":
        return _from_dlpack(name, obj, offered)
    if hasattr(obj, "__cuda_array_interface__"):
        return _from_interface(name, obj, offered, device_of)
    if hasattr(obj, "__dlpack__"):
        return _from_dlpack(name, obj, offered)
    raise TypeError(f"{name} is of type {type(obj).__name__}, expected a NumPy, CuPy, PyTorch or JAX array of float32")


def empty_like(obj: Any, shape: tuple[int, int]) -> Any:
    """A new float32 array of the same kind on the same GPU as `obj`.

    Raises TypeError if its maker is none that is known here: pass `out=` then.
    """
    package = type(obj).__module__.partition(".")[0]
    library = sys.modules.get(package)
    if package == "torch" and library is not None:
        return library.empty(shape, dtype=library.float32, device=obj.device)
    if package == "cupy" and library is not None:
        with obj.device:
            return library.empty(shape, dtype="float32")
    if package == "numba":
        cuda = importlib.import_module("numba.cuda")

        return cuda.device_array(shape, dtype="float32")
    raise TypeError(f"arrays of type {type(obj).__module__}.{type(obj).__name__} cannot be made here; pass out=")
