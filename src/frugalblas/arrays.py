"""Arrays as the CUDA rungs take them: where a matrix lies, whoever made it, without a copy.

Understood are NumPy arrays, objects with `__cuda_array_interface__` (version 2 or 3: CuPy, Numba) and objects with
`__dlpack__` (PyTorch, JAX). Streams follow those protocols: work is ordered after the producer's, never synchronised.

Sources: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html, https://dmlc.github.io/dlpack/latest/
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import dlpack, makers

CUDA_DEVICES = (2, 13)  # kDLCUDA, kDLCUDAManaged of dlpack.h
READ_ONLY = "is read-only; pass a writeable array"


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
    read_only: str | None
    """Why it cannot be written to, as the end of a sentence; None if it can."""
    owner: Any
    """Keeps the memory alive."""

    @property
    def span(self) -> tuple[int, int]:
        """First address and the one behind the last."""
        size = 4 if self.dtype == "float32" else 2
        reach = [(n - 1) * s * size if n else 0 for n, s in zip(self.shape, self.strides, strict=True)]
        return self.pointer + sum(min(r, 0) for r in reach), self.pointer + sum(max(r, 0) for r in reach) + size


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
    read_only = None if array.flags.writeable else READ_ONLY
    return Array(name, array.ctypes.data, shape, elements, dtype, None, None, read_only, array)


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
    pointer, read_only = interface["data"]
    pointer = int(pointer or 0)
    elements = (strides[0] // dtype.itemsize, strides[1] // dtype.itemsize)
    why = READ_ONLY if read_only else None
    # An array without elements may have no address to ask of.
    device = device_of(pointer) if pointer else int(getattr(getattr(obj, "device", None), "id", 0))
    return Array(name, pointer, shape, elements, kind, device, _interface_stream(name, obj), why, obj)


def _interface_stream(name: str, obj: Any) -> int | None:
    stream = obj.__cuda_array_interface__.get("stream")
    if stream == 0:
        raise ValueError(f"{name}.__cuda_array_interface__ has stream 0, which the protocol forbids: 1 or 2 is meant")
    return None if stream is None else int(stream)


def _from_dlpack(name: str, obj: Any, offered: tuple[str, ...], stream: int) -> Array:
    device_type, device = where = obj.__dlpack_device__()
    if int(device_type) not in CUDA_DEVICES:
        raise TypeError(f"{name} is not in a GPU's memory (DLPack device type {int(device_type)}); pass a NumPy array")
    with makers.on_device_of(obj):
        tensor = dlpack.read(name, obj, stream, where)
    dtype = _dtype(name, tensor.dtype, offered)
    shape = _pair(name, tensor.shape)
    strides = _pair(name, tensor.strides) if tensor.strides else (shape[1], 1)
    read_only = None
    if makers.package(obj) in makers.IMMUTABLE:
        read_only = "is a JAX array, which is immutable; leave out= away: the result is a new array"
    elif tensor.copied:
        read_only = "was copied by its maker, who would never see the result; pass an array that can be lent"
    elif tensor.read_only:
        read_only = READ_ONLY
    # Its maker has ordered `stream` after its own: nothing is left to wait for.
    return Array(name, tensor.pointer, shape, strides, dtype, int(device), None, read_only, (obj, tensor.capsule))


def _is_interface(obj: Any) -> bool:
    return not makers.prefers_dlpack(obj) and hasattr(obj, "__cuda_array_interface__")


def producer_stream(name: str, obj: Any) -> int | None:
    """The stream that fills `obj`, as its maker tells; None if nothing is under way, or it does not tell."""
    if isinstance(obj, np.ndarray):
        return None
    return _interface_stream(name, obj) if _is_interface(obj) else makers.current_stream(obj)


def describe(name: str, obj: Any, offered: tuple[str, ...], device_of: Any, stream: int) -> Array:
    """Where `obj` lies, for work on `stream`. `device_of(pointer)` tells the GPU that memory belongs to.

    Raises TypeError for an object of no known protocol or another dtype, ValueError for a shape that is no matrix.
    """
    if isinstance(obj, np.ndarray):
        return _from_numpy(name, obj, offered)
    if _is_interface(obj):
        return _from_interface(name, obj, offered, device_of)
    if hasattr(obj, "__dlpack__"):
        return _from_dlpack(name, obj, offered, stream)
    raise TypeError(f"{name} is of type {type(obj).__name__}, expected a NumPy, CuPy, PyTorch or JAX array of float32")
