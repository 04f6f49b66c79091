"""A GPU that is not there: a stand-in for the extension `_cuda`, and arrays that claim to be in its memory.

The memory is the host's, so the stand-in can compute what the kernels would, from the very integers they would get.
"""

import ctypes

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
        self.calls, self.ordered, self.library = [], [], ""

    def status(self):
        return self._status

    def cublas(self):
        return self.library, 130000 if self.library else 0

    def load_cublas(self, lt, path):
        return "cannot open shared object file"

    def device_of(self, pointer):
        return 0

    def order_after(self, stream, earlier, device):
        self.ordered.append((stream, earlier, device))

    def _compute(self, name, M, N, K, A, B, C, alpha, beta, precision, accumulate):
        c = matrix(*C, False, 0, M, N)
        product = np.float32(alpha) * (matrix(*A, M, K).astype(np.float32) @ matrix(*B, K, N).astype(np.float32))
        c[...] = product if beta == 0 else product + np.float32(beta) * c

    def enqueue(self, *job_device_stream):
        *job, device, stream = job_device_stream
        self.calls.append(("enqueue", job[0], device, stream))
        self._compute(*job)

    def multiply_host(self, *job_device):
        *job, device = job_device
        self.calls.append(("multiply_host", job[0], device, None))
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


class DLPack:
    """A NumPy array dressed up as one of PyTorch's: `__dlpack__`, on the device given."""

    def __init__(self, array, device=(2, 0)):
        self.array, self.device, self.streams = array, device, []

    @property
    def shape(self):
        return self.array.shape

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        return self.array.__dlpack__()
