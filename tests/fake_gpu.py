"""A GPU that is not there: a stand-in for the extension `_cuda`, and arrays that claim to be in its memory.

The memory is the host's, so the stand-in can compute what the kernels would, from the very integers they would get.
"""

import contextlib
import ctypes
import types

import numpy as np

TYPES = (np.float32, np.float16)


def matrix(pointer: int, ld: int, transposed: bool, kind: int, rows: int, cols: int) -> np.ndarray:
    """The (rows, cols) matrix that cuda/launch.h's Operand describes."""
    lines, length = (cols, rows) if transposed else (rows, cols)
    dtype = np.dtype(TYPES[kind])
    count = (lines - 1) * ld + length if lines and length else 0
    flat = np.frombuffer((ctypes.c_char * (count * dtype.itemsize)).from_address(pointer), dtype) if count else None
    view = np.lib.stride_tricks.as_strided(
        np.zeros(0, dtype) if flat is None else flat, (lines, length), (ld * dtype.itemsize, dtype.itemsize)
    )
    return view.T if transposed else view


class FakeCuda:
    """What `_cuda` offers, with a status to choose."""

    architectures, ptx_architectures = (75, 80, 90), (90,)
    kernels = ("cuda_naive_uncoalesced", "cuda_naive", "cuda_tiled", "cuda_wmma", "cublas")

    def __init__(self, **status):
        device = {"name": "Fake GPU", "capability": 90, "processors": 132, "memory_bytes": 2**36}
        self._status = {"runtime": 13000, "driver": 13000, "error": 0, "message": "no error", "devices": [device]}
        self._status.update(status)
        self.asked = 0
        self.calls, self.ordered, self.library = [], [], ""
        self.marks, self.done = [], set()  # (stream, device) of each mark, by number; those that have passed

    def status(self):
        self.asked += 1
        return self._status

    def free_workspace(self):
        pass

    def cublas(self):
        return self.library, 130000 if self.library else 0

    def load_cublas(self, lt, path):
        return "cannot open shared object file"

    def device_of(self, pointer):
        assert pointer
        return 0

    def order_after(self, stream, earlier, device):
        self.ordered.append((stream, earlier, device))

    def mark(self, stream, device):
        self.marks.append((stream, device))
        return len(self.marks) - 1

    def passed(self, mark):
        return mark in self.done

    def Buffer(self, rows, cols, device, stream):  # noqa: N802
        return DLPack(np.empty((rows, cols), np.float32), (2, device))

    def _compute(self, name, M, N, K, A, B, C, alpha, beta, precision, accumulate):
        c = matrix(*C, False, 0, M, N)
        product = np.float32(alpha) * (matrix(*A, M, K).astype(np.float32) @ matrix(*B, K, N).astype(np.float32))
        c[...] = product if beta == 0 else product + np.float32(beta) * c

    def enqueue(self, *job_device_stream):
        *job, device, stream = job_device_stream
        self.calls.append(("enqueue", job[0], device, stream))
        self._compute(*job)

    def multiply_host(self, *job_device_threads):
        *job, device, threads = job_device_threads
        self.calls.append(("multiply_host", job[0], device, None))
        self.threads = threads
        self._compute(*job)


class Interface:
    """A NumPy array dressed up as one of CuPy's: `__cuda_array_interface__`, version 3."""

    def __init__(self, array, stream=None, **changes):
        self.array, self.changes = array, changes
        self.stream = stream

    @property
    def shape(self):
        return self.array.shape

    @property
    def __cuda_array_interface__(self):  # the protocol's name
        a = self.array
        described = {
            "shape": a.shape,
            "typestr": a.dtype.str,
            "data": (a.ctypes.data, not a.flags.writeable),
            "version": 3,
        }
        return {**described, "strides": a.strides, "stream": self.stream, **self.changes}


class OldDLPack:
    """A NumPy array dressed up as one in a GPU's memory whose maker knows DLPack as it was before 1.0."""

    def __init__(self, array, device=(2, 0)):
        self.array, self.device, self.streams, self.asked = array, device, [], {}

    @property
    def shape(self):
        return self.array.shape

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        return self.array.__dlpack__()


class DLPack(OldDLPack):
    """The same as of DLPack 1.0."""

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        self.streams.append(stream)
        self.asked = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self.array.__dlpack__(max_version=max_version)


def like_torch():
    """Stand-ins for the module torch and for its tensors."""
    current = types.SimpleNamespace(cuda_stream=0)
    entered, recorded = [], []

    class Tensor(DLPack):
        is_cuda = True

        def record_stream(self, stream):
            recorded.append((self, stream.cuda_stream))

    Tensor.__module__ = "torch"
    cuda = types.SimpleNamespace(
        current_stream=lambda device: current,
        ExternalStream=lambda pointer, device: types.SimpleNamespace(cuda_stream=pointer),
        device=lambda device: contextlib.nullcontext(entered.append(device)),
    )
    empty = lambda shape, dtype, device: Tensor(np.empty(shape, dtype), device)  # noqa: E731
    module = types.SimpleNamespace(cuda=cuda, float32=np.float32, empty=empty)
    return types.SimpleNamespace(module=module, Tensor=Tensor, current=current, entered=entered, recorded=recorded)


class JaxArray(DLPack):
    """A NumPy array dressed up as one of JAX's: immutable, and made of what others export."""

    @property
    def __cuda_array_interface__(self):  # JAX has this too, but it says nothing of streams
        raise AssertionError("the interface without streams was used")

    def __array_namespace__(self):
        return types.SimpleNamespace(from_dlpack=lambda made: JaxArray(made.array, made.device))


JaxArray.__module__ = "jaxlib._jax"
