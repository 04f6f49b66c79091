"""The CUDA rungs from Python on a machine without a GPU: what they say, and what they would pass on."""

import re
import subprocess
import sys

import numpy as np
import pytest
from checker import check
from fake_gpu import DLPack, FakeCuda, Interface, OldDLPack, matrix

import frugalblas
from frugalblas import cublas, gpu, makers
from frugalblas.bounds import bound_u

RUNGS = [rung.name for rung in frugalblas.algorithms() if rung.device == "cuda"]
A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)


@pytest.fixture
def cuda(monkeypatch):
    """A GPU with everything it needs."""
    fake = FakeCuda()
    fake.library = "libcublas.so.13"
    monkeypatch.setattr(gpu, "module", lambda: fake)
    return fake


def without(monkeypatch, module):
    monkeypatch.setattr(gpu, "module", lambda: module)


def test_importing_touches_no_gpu():
    code = (
        "import frugalblas, sys; print('frugalblas._cuda' in sys.modules, 'libcuda' in open('/proc/self/maps').read())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_list_has_the_cuda_rungs_with_their_precisions():
    rungs = {rung.name: rung for rung in frugalblas.algorithms()}
    assert RUNGS[-1] == "cublas"
    assert rungs["cuda_tiled"].precisions == ("fp32",)
    assert rungs["cuda_wmma"].precisions == ("fp16", "fp16_acc16", "bf16", "tf32")
    assert all(not rungs[name].threaded and rungs[name].variants == () for name in RUNGS)


DEVICE = {"name": "Old GPU", "capability": 61, "processors": 20, "memory_bytes": 2**33}
STATES = {
    "no CUDA in this build": (None, ["built without CUDA", "FRUGALBLAS_CUDA=ON"]),
    "no driver": (FakeCuda(driver=0, error=35, devices=[]), ["no NVIDIA driver", "libcuda.so.1", "install"]),
    "old driver": (FakeCuda(driver=12040, error=35, devices=[]), ["supports CUDA 12.4", "needs 13.0", "580"]),
    "no visible GPU": (FakeCuda(error=100, devices=[]), ["no GPU is visible", "CUDA_VISIBLE_DEVICES", "nvidia-smi"]),
    "GPU older than the build": (FakeCuda(devices=[DEVICE]), ["7.5, 8.0, 9.0", "Old GPU (6.1)", "rebuild"]),
    "another error": (FakeCuda(error=999, message="unknown error", devices=[]), ["unknown error", "999"]),
}


@pytest.mark.parametrize("name", RUNGS)
@pytest.mark.parametrize("state", STATES)
def test_each_state_of_a_machine_has_its_reason_and_fix(monkeypatch, name, state):
    module, words = STATES[state]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    without(monkeypatch, module)
    # Whatever else is wrong with the call, what is wrong with the machine comes first.
    for wrong in ({}, {"precision": "fp8"}, {"alpha": "x"}, {"threads": 3}):
        with pytest.raises(frugalblas.AlgorithmUnavailable) as raised:
            frugalblas.sgemm(A, B, algo=name, **wrong)
        assert all(word in str(raised.value) for word in [f"'{name}' cannot run here", *words]), raised.value
    listed = next(rung for rung in frugalblas.algorithms() if rung.name == name)
    assert not listed.available
    assert str(raised.value).endswith(listed.reason)


def test_a_precision_that_needs_a_newer_gpu(monkeypatch):
    turing = {**DEVICE, "name": "T4", "capability": 75}
    without(monkeypatch, FakeCuda(devices=[turing]))
    with pytest.raises(frugalblas.AlgorithmUnavailable, match=r"'bf16' needs compute capability 8.0, this GPU has 7.5"):
        frugalblas.sgemm(A, B, algo="cuda_wmma", precision="bf16")
    assert frugalblas.sgemm(A, B, algo="cuda_wmma", precision="fp16").shape == (3, 5)


def test_of_several_gpus_the_one_of_the_arrays_counts(monkeypatch):
    hopper = FakeCuda()._status["devices"][0]
    turing, pascal = {**DEVICE, "name": "T4", "capability": 75}, DEVICE
    without(monkeypatch, FakeCuda(devices=[hopper, turing, pascal]))

    def run(number, **rest):
        a, b, c = (DLPack(array, (2, number)) for array in (A, B, np.empty((3, 5), np.float32)))
        return frugalblas.sgemm(a, b, out=c, **rest)

    with pytest.raises(frugalblas.AlgorithmUnavailable, match=r"on GPU 1: precision='bf16' needs compute capability 8"):
        run(1, algo="cuda_wmma", precision="bf16")
    with pytest.raises(frugalblas.AlgorithmUnavailable, match=r"on GPU 2: this build has code for .* Old GPU \(6.1\)"):
        run(2)
    assert np.array_equal(run(1).array, A @ B)


def test_a_machine_that_works_is_asked_once(monkeypatch):
    works, fails = FakeCuda(), FakeCuda(error=100, devices=[])
    for fake, times in ((works, 1), (fails, 3)):
        without(monkeypatch, fake)
        for _ in range(3):
            gpu.unavailable("cuda_naive")
        assert fake.asked == times


@pytest.mark.parametrize(
    ("build", "ptx", "capability", "runs"),
    [
        ((80,), (), 86, True),
        ((86,), (), 80, False),
        ((80,), (), 90, False),
        ((80,), (80,), 90, True),
        ((90,), (90,), 120, True),
    ],
)
def test_which_gpus_a_build_has_code_for(build, ptx, capability, runs):
    fake = FakeCuda()
    fake.architectures, fake.ptx_architectures = build, ptx
    assert gpu.runs_on(fake, capability) == runs


def test_cublas_missing(monkeypatch):
    without(monkeypatch, FakeCuda())
    with pytest.raises(frugalblas.AlgorithmUnavailable, match=r"frugalblas\[cublas\].*libcublas.so.13 \(the system\)"):
        frugalblas.sgemm(A, B, algo="cublas")


def test_cublas_is_looked_for_in_wheels_with_its_companion_first(monkeypatch, tmp_path):
    folder = tmp_path / "nvidia/cu13/lib"
    folder.mkdir(parents=True)
    for name in ("libcublas.so.13", "libcublasLt.so.13"):
        (folder / name).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    found = [c for c in cublas.candidates() if c.origin == "site-packages"]
    assert found == [("site-packages", str(folder / "libcublasLt.so.13"), str(folder / "libcublas.so.13"))]


def test_info_tells_of_the_gpu(cuda):
    told = frugalblas.info()["cuda"]
    assert told["reason"] is None
    assert told["devices"][0]["capability"] == "9.0"
    assert told["cublas"]["path"] == "libcublas.so.13"


# ---- calls, as they reach the kernels ----


def operands(kind, M=7, N=5, K=6, seed=0):
    """A and B of one kind, each beside its NumPy self."""
    random = np.random.default_rng(seed)
    made = [random.standard_normal(shape).astype(np.float32) for shape in ((M, K), (K, N))]
    return [(array, kind(array)) for array in made]


@pytest.mark.parametrize("kind", [np.asarray, Interface, DLPack, OldDLPack])
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("order", ["C", "F", "sliced"])
def test_operands_reach_the_kernel_without_a_copy(cuda, kind, trans_a, trans_b, order):
    random = np.random.default_rng(3)

    def array(rows, cols, transposed):
        rows, cols = (cols, rows) if transposed else (rows, cols)
        whole = random.standard_normal((rows, cols + 3)).astype(np.float32)
        return {"C": whole[:, :cols].copy(), "F": whole[:, :cols].copy(order="F"), "sliced": whole[:, :cols]}[order]

    a, b = array(7, 6, trans_a), array(6, 5, trans_b)
    for out_order in ("C", "F"):
        C0 = random.standard_normal((7, 5)).astype(np.float32)
        c = np.array(C0, order=out_order)
        out = kind(c)
        scale = {"alpha": 2.0, "beta": -0.5, "trans_a": trans_a, "trans_b": trans_b}
        assert frugalblas.sgemm(kind(a), kind(b), out=out, algo="cuda_tiled", **scale) is out
        check(c, a, b, C0, **scale)
    assert cuda.calls[-1][0] == ("multiply_host" if kind is np.asarray else "enqueue")


def test_one_row_and_one_column(cuda):
    for M, N, K in ((1, 5, 6), (7, 1, 6), (7, 5, 1), (1, 1, 1)):
        (a, _), (b, _) = operands(np.asarray, M, N, K)
        check(frugalblas.sgemm(a, b, algo="cuda_naive"), a, b)
    assert frugalblas.sgemm(np.ones((0, 3), np.float32), np.ones((3, 2), np.float32), algo="cuda_naive").shape == (0, 2)


def test_auto_takes_the_gpu_where_the_arrays_are(cuda):
    (a, on_gpu_a), (b, on_gpu_b) = operands(Interface)
    c = np.full((7, 5), np.nan, np.float32)
    frugalblas.sgemm(on_gpu_a, on_gpu_b, out=Interface(c))
    check(c, a, b)
    assert cuda.calls == [("enqueue", "cuda_tiled", 0, 1)]
    assert frugalblas.explain(on_gpu_a, on_gpu_b)["algo"] == "cuda_tiled"


def test_streams_are_ordered_never_synchronised(cuda):
    (_, _), (_, _) = operands(Interface)
    c = np.empty((3, 5), np.float32)
    frugalblas.sgemm(Interface(A, stream=77), Interface(B, stream=88), out=Interface(c, stream=77))
    assert cuda.calls[-1] == ("enqueue", "cuda_tiled", 0, 77)
    assert cuda.ordered == [(77, 88, 0)]
    frugalblas.sgemm(Interface(A), Interface(B, stream=2), out=Interface(c))
    assert cuda.calls[-1][3] == 2
    packed = DLPack(A)
    frugalblas.sgemm(packed, DLPack(B), out=DLPack(c))
    assert packed.streams == [makers.LEGACY_STREAM]  # the consumer's stream, which DLPack's maker waits on


def test_fp16_operands_are_taken_as_they_are(cuda):
    a, b = A.astype(np.float16), B.astype(np.float16)
    c = np.empty((3, 5), np.float32)
    frugalblas.sgemm(Interface(a), Interface(b), out=Interface(c), algo="cuda_wmma", precision="fp16")
    assert np.array_equal(c, A @ B)


WRONG = {
    "mixed memories": (Interface(A), B, {}, TypeError, "A on GPU 0, B in host memory"),
    "two GPUs": (DLPack(A, (2, 0)), DLPack(B, (2, 1)), {}, TypeError, "A on GPU 0, B on GPU 1"),
    "out elsewhere": (
        Interface(A),
        Interface(B),
        {"out": np.empty((3, 5), np.float32)},
        TypeError,
        "out in host memory",
    ),
    "CPU rung": (Interface(A), Interface(B), {"algo": "blocked"}, TypeError, "'blocked', which computes on the CPU"),
    "dtype": (Interface(A.astype(np.float64)), Interface(B), {}, TypeError, "A has dtype float64, expected float32"),
    "byte order": (Interface(A.astype(">f4")), Interface(B), {}, TypeError, "byte-swapped"),
    "stream 0": (Interface(A, stream=0), Interface(B), {}, ValueError, "stream 0"),
    "mask": (Interface(A, mask=Interface(A)), Interface(B), {}, TypeError, "mask"),
    "1-D": (Interface(A[0]), Interface(B), {}, ValueError, "1 dimensions"),
    "strides": (
        Interface(np.ones((6, 8), np.float32)[::2, ::2]),
        Interface(B),
        {"out": Interface(np.empty((3, 5), np.float32))},
        ValueError,
        "need one dimension contiguous",
    ),
    "inner dimensions": (Interface(B), Interface(A), {}, ValueError, "inner dimensions differ"),
    "unknown maker": (Interface(A), Interface(B), {}, TypeError, "pass out="),
    "beta without out": (Interface(A), Interface(B), {"beta": 1.0}, ValueError, "no out"),
    "out's shape": (
        Interface(A),
        Interface(B),
        {"out": Interface(np.empty((5, 3), np.float32))},
        ValueError,
        "out has shape",
    ),
    "out overlaps": (
        Interface(A),
        Interface(np.ones((4, 4), np.float32)),
        {"out": Interface(A)},
        ValueError,
        "shares memory with A",
    ),
    "threads": (Interface(A), Interface(B), {"threads": 4}, ValueError, "runs on a GPU"),
    "precision": (Interface(A), Interface(B), {"precision": "bf16"}, ValueError, "'cuda_tiled' offers 'fp32'"),
    "precision of wmma": (A, B, {"algo": "cuda_wmma"}, ValueError, "offers 'fp16', 'fp16_acc16', 'bf16'"),
    "alpha": (Interface(A), Interface(B), {"alpha": "x"}, TypeError, "alpha is 'x'"),
    "trans": (Interface(A), Interface(B), {"trans_a": "N"}, TypeError, "trans_a is 'N'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_named(cuda, case):
    a, b, rest, error, words = WRONG[case]
    with pytest.raises(error, match=re.escape(words)):
        frugalblas.sgemm(a, b, **rest)
    assert not cuda.calls


def test_a_read_only_out_is_refused(cuda):
    c = np.empty((3, 5), np.float32)
    c.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        frugalblas.sgemm(Interface(A), Interface(B), out=Interface(c))


def test_a_dlpack_array_of_the_host_is_no_gpu_array():
    with pytest.raises(TypeError, match=r"expected a numpy\.ndarray"):
        frugalblas.sgemm(DLPack(A, (1, 0)), B)


# ---- accuracy ----


@pytest.mark.parametrize("rung", [r.name for r in frugalblas.algorithms() if r.available and r.kind != "interpreted"])
def test_fp32_rungs_keep_the_published_bound(rung):
    errors = frugalblas.accuracy(rung, M=17, N=19, K=128)
    assert set(errors) == {"normal", "uniform", "wide", "cancelling"}
    for family, found in errors.items():
        assert 0 < found["max_error_u"] <= found["bound_u"], (family, found)
        assert 0 < found["frobenius"] <= found["bound_u"] * 2.0**-24


def test_rounded_inputs_are_seen_by_accuracy_and_within_their_bound(cuda, monkeypatch):
    def rounding(name, M, N, K, A, B, C, alpha, beta, precision, accumulate):
        a, b = (matrix(*m, *shape).astype(np.float16).astype(np.float32) for m, shape in ((A, (M, K)), (B, (K, N))))
        matrix(*C, False, 0, M, N)[...] = a @ b

    monkeypatch.setattr(cuda, "_compute", rounding)
    with np.errstate(all="ignore"):
        errors = frugalblas.accuracy("cuda_wmma", "fp16", M=17, N=19, K=128)
    assert errors["wide"]["bound_u"] is None
    fp32 = frugalblas.accuracy("naive", M=17, N=19, K=128)
    for family in ("normal", "uniform", "cancelling"):
        assert fp32[family]["bound_u"] < errors[family]["max_error_u"] < errors[family]["bound_u"]


def test_bounds_of_the_precisions():
    # The published first-order bounds: K, and two roundings of the inputs on top.
    assert bound_u("fp32", 1000) == pytest.approx(1000, rel=1e-3)
    assert bound_u("tf32", 1000) == pytest.approx(2 * 2**13 + 1000, rel=1e-3)
    assert bound_u("bf16", 1000) == pytest.approx(2 * 2**16 + 1000, rel=1e-2)
    assert bound_u("fp16_acc16", 4096) == np.inf


def test_accuracy_refuses_an_odd_k():
    with pytest.raises(ValueError, match="K is 7, expected an even number"):
        frugalblas.accuracy(K=7)
