"""The libraries whose arrays on a GPU are multiplied, seen alike, for test_gpu_real.py; each imported at its turn."""

import contextlib
import importlib
import os
from functools import cached_property

import numpy as np
import pytest

SPIN = """
extern "C" __global__ void spin(long long clocks) {
  const long long start = clock64();
  while (clock64() - start < clocks) {}
}
"""


def module(name):
    """A library; the test is skipped if it cannot be imported here."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported: {error}")


class Torch:
    name, mutable = "torch", True

    @cached_property
    def lib(self):
        torch = module("torch")
        if not torch.cuda.is_available():
            pytest.skip("this PyTorch was built without CUDA, or sees no GPU")
        return torch

    def array(self, x):
        """`x` on the GPU, in the order that it has."""
        columns = x.flags.f_contiguous and not x.flags.c_contiguous
        moved = self.lib.from_numpy(np.array(x.T if columns else x, order="C")).cuda()
        return moved.T if columns else moved

    def numpy(self, x):
        return x.cpu().numpy()

    def pointer(self, x):
        return x.data_ptr()

    def is_kind(self, x):
        return isinstance(x, self.lib.Tensor) and x.is_cuda

    def assign(self, x, y):
        x.copy_(y)

    def stream(self):
        return self.lib.cuda.Stream()

    def on(self, stream):
        return self.lib.cuda.stream(stream)

    def spin(self, clocks):
        """Keeps the current stream busy."""
        self.lib.cuda._sleep(clocks)

    def is_done(self, stream):
        return stream.query()

    def wait(self):
        """For all streams."""
        self.lib.cuda.synchronize()


class CuPy:
    name, mutable = "cupy", True

    @cached_property
    def lib(self):
        cupy = module("cupy")
        if not cupy.is_available():
            pytest.skip("CuPy sees no GPU")
        return cupy

    @cached_property
    def _spin(self):
        return self.lib.RawKernel(SPIN, "spin")

    def array(self, x):
        return self.lib.asarray(x)

    def numpy(self, x):
        return self.lib.asnumpy(x)

    def pointer(self, x):
        return x.data.ptr

    def is_kind(self, x):
        return isinstance(x, self.lib.ndarray)

    def assign(self, x, y):
        x[...] = y

    def stream(self):
        return self.lib.cuda.Stream(non_blocking=True)

    def on(self, stream):
        return stream

    def spin(self, clocks):
        self._spin((1,), (1,), (np.int64(clocks),))

    def is_done(self, stream):
        return stream.done

    def wait(self):
        self.lib.cuda.Device().synchronize()


class Numba:
    name, mutable = "numba", True

    @cached_property
    def lib(self):
        cuda = module("numba.cuda")
        if not cuda.is_available():
            pytest.skip("Numba sees no GPU")
        return cuda

    def array(self, x):
        return self.lib.to_device(x)

    def numpy(self, x):
        return x.copy_to_host()

    def pointer(self, x):
        return x.__cuda_array_interface__["data"][0]

    def is_kind(self, x):
        return self.lib.is_cuda_array(x) and type(x).__module__.startswith("numba")


class Jax:
    name, mutable = "jax", False

    @cached_property
    def lib(self):
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else it takes three quarters of the memory
        jax = module("jax")
        try:
            jax.devices("gpu")
        except RuntimeError as error:
            pytest.skip(f"JAX sees no GPU: {error}")
        return jax

    def array(self, x):
        return self.lib.device_put(x, self.lib.devices("gpu")[0])

    def numpy(self, x):
        return np.asarray(x)

    def pointer(self, x):
        return x.unsafe_buffer_pointer()

    def is_kind(self, x):
        return isinstance(x, self.lib.Array) and x.devices() == {self.lib.devices("gpu")[0]}


MAKERS = {maker.name: maker for maker in (Torch(), CuPy(), Numba(), Jax())}


def usable(name):
    """The maker of that name, or the test is skipped with the reason."""
    maker = MAKERS[name]
    assert maker.lib
    return maker


def first_usable():
    """A maker that works here, for what does not depend on which; the test is skipped if there is none."""
    for name in MAKERS:
        with contextlib.suppress(pytest.skip.Exception):
            return usable(name)
    pytest.skip(f"none of {', '.join(MAKERS)} can be used here")
