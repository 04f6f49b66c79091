"""Arrays of a GPU: streams, versions of DLPack, makers with ways of their own. Without a GPU: see fake_gpu.py."""

import ctypes
import sys
import types

import numpy as np
import pytest
from checker import check
from fake_gpu import DLPack, FakeCuda, Interface, JaxArray, OldDLPack, like_torch

import frugalblas
from frugalblas import dlpack, gpu, streams

A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
VERSIONED = tuple(map(int, np.__version__.split(".")[:2])) >= (2, 1)
needs_versions = pytest.mark.skipif(not VERSIONED, reason=f"NumPy {np.__version__} does not export DLPack 1.0")


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setattr(gpu, "module", lambda: fake)
    monkeypatch.setattr(streams, "_held", type(streams._held)())
    return fake


@pytest.fixture
def torch(monkeypatch):
    fake = like_torch()
    monkeypatch.setitem(sys.modules, "torch", fake.module)
    return fake


def new():
    return np.full((3, 5), np.nan, np.float32)


# ---- stream= ----

STREAMS = {
    "int": (77, 77),
    "NumPy int": (np.int64(77), 77),
    "default": (0, 1),
    "CuPy": (types.SimpleNamespace(ptr=77), 77),
    "CuPy's default": (types.SimpleNamespace(ptr=0), 1),
    "PyTorch": (types.SimpleNamespace(cuda_stream=77), 77),
    "cuda.core": (types.SimpleNamespace(__cuda_stream__=lambda: (0, 77)), 77),
    "cuda.core, a property": (types.SimpleNamespace(__cuda_stream__=(0, 77)), 77),
}


@pytest.mark.parametrize("name", STREAMS)
def test_the_caller_names_the_stream(cuda, name):
    stream, number = STREAMS[name]
    packed = DLPack(A)
    frugalblas.sgemm(packed, Interface(B, stream=88), out=Interface(new(), stream=number), stream=stream)
    assert cuda.calls == [("enqueue", "cuda_tiled", 0, number)]
    assert packed.streams == [number]  # its maker orders it
    assert cuda.ordered == [(number, 88, 0)]  # this one we order, and the third is on it already


@pytest.mark.parametrize("stream", [True, "77", 7.0, object()])
def test_what_is_no_stream_is_refused(cuda, stream):
    with pytest.raises(TypeError, match="expected an int or an object with __cuda_stream__"):
        frugalblas.sgemm(DLPack(A), DLPack(B), out=DLPack(new()), stream=stream)
    with pytest.raises(ValueError, match="stream is -1"):
        frugalblas.sgemm(DLPack(A), DLPack(B), out=DLPack(new()), stream=-1)
    assert not cuda.calls


def test_host_arrays_take_no_stream(cuda):
    with pytest.raises(ValueError, match="NumPy arrays are multiplied on streams of the call's own"):
        frugalblas.sgemm(A, B, algo="cuda_tiled", stream=77)
    with pytest.raises(ValueError, match="stream is 77, but this product runs on the CPU"):
        frugalblas.sgemm(A, B, stream=77)
    assert np.array_equal(frugalblas.sgemm(A, B, stream=None), A @ B)


def test_a_product_that_cannot_be_enqueued_holds_nothing(cuda):
    with pytest.raises(ValueError, match="out has shape"):
        frugalblas.sgemm(DLPack(A), DLPack(B), out=DLPack(A.copy()), stream=77)
    assert not streams._held
    assert not cuda.marks


def test_arrays_without_elements(cuda):
    nothing = Interface(np.empty((0, 4), np.float32), data=(0, False))
    out = Interface(np.empty((0, 5), np.float32), data=(0, False))
    assert frugalblas.sgemm(nothing, Interface(B), out=out) is out
    assert not cuda.calls


# ---- how long operands live ----


def test_arrays_are_kept_until_the_stream_has_passed(cuda):
    on_the_stream = Interface(new(), stream=77)
    frugalblas.sgemm(DLPack(A), Interface(B, stream=88), out=on_the_stream, stream=77)
    assert cuda.marks == [(77, 0)]
    ((_, kept),) = streams._held
    assert len(kept) == 2  # not `out`, whose maker works on that stream itself
    frugalblas.sgemm(DLPack(A), DLPack(B), out=DLPack(new()))
    assert len(streams._held) == 2  # the first has not passed
    cuda.done = {0, 1}
    frugalblas.sgemm(Interface(A, stream=5), Interface(B, stream=5), out=Interface(new(), stream=5))
    assert not streams._held


def test_torch_is_told_of_another_stream(cuda, torch):
    a, b = torch.Tensor(A), torch.Tensor(B)
    frugalblas.sgemm(a, b)
    assert cuda.calls[-1][3] == 1  # its default stream, 0
    torch.current.cuda_stream = 66
    c = frugalblas.sgemm(a, b)
    assert isinstance(c, torch.Tensor)
    assert np.array_equal(c.array, A @ B)
    assert cuda.calls[-1][3] == 66
    assert a.streams == [1, 66]
    assert not torch.recorded  # its own stream
    c = frugalblas.sgemm(a, b, stream=77)
    assert torch.recorded == [(a, 77), (b, 77), (c, 77)]
    assert torch.entered  # it exports arrays of its current GPU only
    assert not cuda.marks


def test_a_tensor_of_the_host_beside_one_of_the_gpu(cuda, torch):
    b = torch.Tensor(B, (1, 0))
    b.is_cuda = False
    with pytest.raises(TypeError, match="B is not in a GPU's memory"):
        frugalblas.sgemm(torch.Tensor(A), b)


# ---- JAX ----


def test_jax_gets_a_new_array(cuda):
    c = frugalblas.sgemm(JaxArray(A), JaxArray(B))
    assert type(c) is JaxArray
    check(c.array, A, B)
    ((_, kept),) = streams._held
    assert len(kept) == 2  # the operands; the result lives with its owner
    assert frugalblas.sgemm(JaxArray(A[:0]), JaxArray(B)).shape == (0, 5)


def test_jax_arrays_are_not_overwritten(cuda):
    with pytest.raises(ValueError, match="out is a JAX array, which is immutable; leave out= away"):
        frugalblas.sgemm(JaxArray(A), JaxArray(B), out=JaxArray(new()))
    assert not cuda.calls


# ---- DLPack ----


@needs_versions
def test_dlpack_is_asked_for_version_1_where_it_lies_uncopied(cuda):
    a = DLPack(A)
    frugalblas.sgemm(a, DLPack(B), out=DLPack(new()))
    assert a.asked == {"max_version": (1, 0), "dl_device": (2, 0), "copy": False}


@needs_versions
def test_a_read_only_tensor_is_an_operand_but_no_out(cuda):
    a, c = A.copy(), new()
    a.flags.writeable = c.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only; pass a writeable array"):
        frugalblas.sgemm(DLPack(a), DLPack(B), out=DLPack(c))
    c = new()
    frugalblas.sgemm(DLPack(a), DLPack(B), out=DLPack(c))
    check(c, a, B)


def test_a_maker_that_refuses_is_quoted(cuda):
    a = A.copy()
    a.flags.writeable = False  # which the old protocol cannot say
    with pytest.raises(ValueError, match=r"A cannot be passed on by its maker: .*readonly"):
        frugalblas.sgemm(OldDLPack(a), OldDLPack(B), out=OldDLPack(new()))


class Handmade(DLPack):
    """A capsule put together here, of any version, flags and offset."""

    def __init__(self, array, version=(1, 0), flags=0, byte_offset=0, capsule_name=b"dltensor_versioned"):
        super().__init__(array)
        self.shape_, self.strides_ = (ctypes.c_int64 * 2)(*array.shape), None
        tensor = dlpack._Tensor(array.ctypes.data - byte_offset, 2, 0, 2, 2, 32, 1, self.shape_, None, byte_offset)
        self.tensor = dlpack._VersionedTensor(*version, None, None, flags, tensor)
        self.capsule_name = capsule_name

    def __dlpack__(self, **asked):
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return make(ctypes.addressof(self.tensor), self.capsule_name, None)


def test_offset_and_missing_strides(cuda):
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    c = new()
    frugalblas.sgemm(Handmade(a, byte_offset=256), Handmade(B, version=(1, 9)), out=Handmade(c))
    check(c, a, B)


REFUSED = {
    "a layout to come": (Handmade(A, version=(2, 0)), "A comes as DLPack 2.0, but 1.x was asked for"),
    "a used capsule": (Handmade(A, capsule_name=b"used_dltensor"), "expected a fresh capsule of a tensor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_capsules_that_cannot_be_read(cuda, case):
    obj, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        frugalblas.sgemm(obj, DLPack(B), out=DLPack(new()))


def test_out_that_is_a_copy_is_refused(cuda):
    with pytest.raises(ValueError, match="out was copied by its maker"):
        frugalblas.sgemm(DLPack(A), DLPack(B), out=Handmade(new(), flags=dlpack.IS_COPIED))
    c = new()
    frugalblas.sgemm(Handmade(A, flags=dlpack.IS_COPIED), DLPack(B), out=DLPack(c))
    check(c, A, B)


# ---- what the extension exports ----


@pytest.fixture
def buffer():
    if gpu.module() is None:
        pytest.skip("built without CUDA: the extension that exports results is not there")
    return gpu.module().Buffer(3, 5, -1, 1)  # in host memory, where it can be looked at without a GPU


@pytest.mark.parametrize("version", [None, pytest.param((1, 0), marks=needs_versions), (0, 8)])
def test_a_result_is_exported(buffer, version):
    class Consumed:
        def __dlpack_device__(self):
            return buffer.__dlpack_device__()

        def __dlpack__(self, **asked):
            return buffer.__dlpack__(max_version=version)

    array = np.from_dlpack(Consumed())
    assert (array.shape, array.dtype, array.ctypes.data) == ((3, 5), np.float32, buffer.pointer)
    again = np.from_dlpack(buffer)
    again[...] = 7
    del again  # the memory stays with the others
    assert np.all(array == 7)


def test_the_memory_outlives_its_buffer(buffer):
    array = np.from_dlpack(gpu.module().Buffer(300, 500, -1, 1))
    array[...] = 1
    assert array.sum() == 150000
    unused = buffer.__dlpack__()
    assert "dltensor" in repr(unused)
    del unused  # nobody consumed it: it frees itself


def test_what_cannot_be_exported(buffer):
    for wrong in ({"dl_device": (2, 0)}, {"copy": True}):
        with pytest.raises(BufferError, match="a result is exported"):
            buffer.__dlpack__(**wrong)
    with pytest.raises(ValueError, match="stream 0 is ambiguous"):
        buffer.__dlpack__(stream=0)
