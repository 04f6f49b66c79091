"""A tensor read out of its DLPack capsule, of the protocol's versions before and after 1.0, without a copy.

Source: https://dmlc.github.io/dlpack/latest/c_api.html and .../python_spec.html
"""

import ctypes
from dataclasses import dataclass
from typing import Any

MAX_VERSION = (1, 0)  # the newest layout understood; a producer of a newer one hands out this
READ_ONLY, IS_COPIED = 1, 2  # flags of a versioned tensor
DTYPES = {(2, 32): "float32", (2, 64): "float64", (2, 16): "float16", (4, 16): "bfloat16"}  # DLDataTypeCode, bits


class _Tensor(ctypes.Structure):
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


class _VersionedTensor(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


@dataclass(frozen=True)
class Tensor:
    """What a capsule says. The memory is there as long as `capsule` is."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    """In elements; None: row after row."""
    dtype: str
    read_only: bool
    copied: bool
    capsule: Any


def _capsule(name: str, obj: Any, stream: int, device: tuple[Any, int]) -> Any:
    try:
        try:
            return obj.__dlpack__(stream=stream, max_version=MAX_VERSION, dl_device=device, copy=False)
        except TypeError:  # a maker from before 1.0, which knows of streams alone
            return obj.__dlpack__(stream=stream)
    except BufferError as error:
        raise ValueError(f"{name} cannot be passed on by its maker: {error}") from error


def read(name: str, obj: Any, stream: int, device: tuple[Any, int]) -> Tensor:
    """What `obj`, on `device`, exports for work on `stream`: its maker sees to it that the work finds it complete.

    Raises ValueError if the maker refuses, or exports a version of the protocol that is not understood.
    """
    capsule = _capsule(name, obj, stream, device)
    is_valid = ctypes.pythonapi.PyCapsule_IsValid
    is_valid.restype, is_valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # The capsule is not consumed: it stays with the Tensor, and its own destructor releases the memory.
    flags = 0
    if is_valid(capsule, b"dltensor_versioned"):
        versioned = _VersionedTensor.from_address(get(capsule, b"dltensor_versioned"))
        if versioned.major != MAX_VERSION[0]:
            raise ValueError(
                f"{name} comes as DLPack {versioned.major}.{versioned.minor}, but {MAX_VERSION[0]}.x was asked for"
            )
        flags, tensor = versioned.flags, versioned.tensor
    elif is_valid(capsule, b"dltensor"):
        tensor = _Tensor.from_address(get(capsule, b"dltensor"))
    else:
        raise ValueError(f"{name}.__dlpack__() gave {capsule!r}, expected a fresh capsule of a tensor")
    dtype = DTYPES.get((tensor.code, tensor.bits), f"of code {tensor.code} and {tensor.bits} bits")
    return Tensor(
        pointer=int(tensor.data or 0) + int(tensor.byte_offset),
        shape=tuple(tensor.shape[: tensor.ndim]),
        strides=tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None,
        dtype=dtype if tensor.lanes == 1 else f"{dtype} in vectors of {tensor.lanes}",
        read_only=bool(flags & READ_ONLY),
        copied=bool(flags & IS_COPIED),
        capsule=capsule,
    )
