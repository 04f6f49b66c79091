"""The CUDA rungs on a GPU, with arrays of real libraries. What needs no GPU is in test_gpu.py and its siblings."""

import time

import gpu_makers
import numpy as np
import pytest
from checker import check

import frugalblas
from frugalblas import arrays, gpu, streams
from frugalblas.bounds import U, bound_u
from frugalblas.energy import Meter, Provenance

CARDS = {card.name: card for card in frugalblas.algorithms() if card.device == "cuda"}
if (reason := CARDS["cuda_tiled"].reason) is not None:
    pytest.skip(f"no GPU can be used here: {reason}", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("default")  # what other libraries warn of is shown, and is no failure

WAYS = [
    (name, precision)
    for name, card in CARDS.items()
    for precision in card.precisions
    if gpu.unavailable(name, precision) is None
]
EXACT = [name for name, precision in WAYS if precision == "fp32"]
# Less than a piece of 16 bytes; one more and one less than tiles; a row, a column; K to be cut into chunks; K = 0; more
# than a wave of tiles with ragged edges.
SHAPES = [(7, 5, 3), (65, 129, 33), (127, 255, 64), (1, 515, 518), (509, 1, 77), (20, 24, 4099), (33, 17, 0)]
SHAPES += [(1031, 2053, 129)]
SPIN = 200_000_000  # clocks: a tenth of a second or more


@pytest.fixture(params=gpu_makers.MAKERS)
def maker(request):
    return gpu_makers.usable(request.param)


@pytest.fixture(params=["torch", "cupy"])
def streaming(request):
    """A maker with streams of its own and a kernel that takes its time."""
    found = gpu_makers.usable(request.param)
    found.spin(1)
    return found


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def operands(M, N, K):
    return normal(M, K, seed=1), normal(K, N, seed=2)


def within(C, A, B, precision):
    """Fails unless `C` is within the published bound of its precision."""
    A64, B64 = A.astype(np.float64), B.astype(np.float64)
    limit = bound_u(precision, A.shape[1]) * U * (np.abs(A64) @ np.abs(B64))
    # Sums in fp16: what is below its normal numbers is lost, which no relative bound covers.
    limit += A.shape[1] * 2.0**-25 if precision == "fp16_acc16" else 0
    assert C.shape == limit.shape
    assert np.all(np.abs(C - A64 @ B64) <= limit)


# ---- arrays of each library ----


@pytest.mark.parametrize("algo", EXACT)
def test_the_same_kind_comes_back(maker, algo):
    A, B = operands(67, 83, 45)
    c = frugalblas.sgemm(maker.array(A), maker.array(B), algo=algo)
    assert maker.is_kind(c)
    check(maker.numpy(c), A, B)


def test_arrays_are_taken_where_they_lie(maker):
    a = maker.array(normal(67, 45))
    told = arrays.describe("A", a, ("float32",), gpu.module().device_of, streams.pointer(0))
    assert (told.pointer, told.device, told.shape) == (maker.pointer(a), 0, (67, 45))


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_out_is_updated_in_place(maker, trans_a, trans_b):
    A, B, C0 = (
        normal(*((45, 67) if trans_a else (67, 45))),
        normal(*((83, 45) if trans_b else (45, 83))),
        normal(67, 83),
    )
    how = {"alpha": 2.0, "trans_a": trans_a, "trans_b": trans_b}
    a, b = maker.array(A), maker.array(B)
    if not maker.mutable:
        with pytest.raises(ValueError, match="immutable"):
            frugalblas.sgemm(a, b, out=maker.array(C0), beta=-0.5, **how)
        check(maker.numpy(frugalblas.sgemm(a, b, **how)), A, B, **how)
        return
    for order in ("C", "F"):
        c = maker.array(np.array(C0, order=order))
        pointer = maker.pointer(c)
        assert frugalblas.sgemm(a, b, out=c, beta=-0.5, **how) is c
        assert maker.pointer(c) == pointer
        check(maker.numpy(c), A, B, C0, beta=-0.5, **how)


def test_slices_and_transposes(maker):
    if not maker.mutable:
        pytest.skip(f"{maker.name} copies what is sliced")
    wide, tall = normal(67, 90), normal(120, 83)
    a, b = maker.array(wide)[:, 3:48], maker.array(tall)[10:55]
    check(maker.numpy(frugalblas.sgemm(a, b)), wide[:, 3:48], tall[10:55])
    if maker.name != "numba":  # whose transpose is a copy, made by a kernel
        check(maker.numpy(frugalblas.sgemm(b.T, a.T)), tall[10:55].T, wide[:, 3:48].T)
    with pytest.raises(ValueError, match="need one dimension contiguous"):
        frugalblas.sgemm(maker.array(wide)[:, ::2], b)


def test_two_memories_in_one_call_are_refused(maker):
    A, B = operands(8, 8, 8)
    for a, b in ((maker.array(A), B), (A, maker.array(B))):
        with pytest.raises(TypeError, match="different memories"):
            frugalblas.sgemm(a, b, algo="cuda_tiled")
    with pytest.raises(TypeError, match="computes on the CPU"):
        frugalblas.sgemm(maker.array(A), maker.array(B), algo="blocked")


def test_a_tensor_in_host_memory_is_refused():
    torch = gpu_makers.usable("torch").lib
    with pytest.raises(TypeError, match="B is not in a GPU's memory"):
        frugalblas.sgemm(torch.ones(8, 8, device="cuda"), torch.ones(8, 8))


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", "float16"), ("bf16", "bfloat16")])
def test_operands_of_two_bytes_are_used_as_they_are(precision, dtype):
    if (reason := gpu.unavailable("cuda_wmma", precision)) is not None:
        pytest.skip(reason)
    torch = gpu_makers.usable("torch").lib
    kind = getattr(torch, dtype)
    a, b = (torch.from_numpy(x).cuda().to(kind) for x in operands(70, 136, 96))  # rows of whole 16 bytes
    c = frugalblas.sgemm(a, b, algo="cuda_wmma", precision=precision)
    check(c.cpu().numpy(), *(x.float().cpu().numpy() for x in (a, b)))  # nothing is left to round


# ---- streams ----


def test_the_product_waits_for_its_operands_and_nobody_waits_for_the_product(streaming):
    A, B = operands(200, 300, 100)
    a, b, good, zeros = map(streaming.array, (np.full_like(A, np.nan), B, A, np.zeros_like(A)))
    stream = streaming.stream()
    with streaming.on(stream):
        frugalblas.sgemm(a, b)  # what happens once may wait for the GPU: loading a module, more memory for a result
        streaming.wait()
        streaming.spin(SPIN)
        streaming.assign(a, good)
        c = frugalblas.sgemm(a, b)
        streaming.assign(a, zeros)
        assert not streaming.is_done(stream)
        stream.synchronize()
        check(streaming.numpy(c), A, B)


def test_the_stream_of_the_caller_comes_after_those_of_the_makers(streaming):
    A, B = operands(200, 300, 100)
    out = np.full((200, 300), np.nan, np.float32)
    a, b, good, out = map(streaming.array, (np.full_like(A, np.nan), B, A, out))
    mine, theirs = streaming.stream(), streaming.stream()
    frugalblas.sgemm(a, b, out=out, stream=mine)  # what happens once
    streaming.wait()
    with streaming.on(theirs):
        streaming.spin(SPIN)
        streaming.assign(a, good)
        assert frugalblas.sgemm(a, b, out=out, stream=mine) is out
        assert not streaming.is_done(mine)
    mine.synchronize()
    check(streaming.numpy(out), A, B)


def test_arrays_of_two_libraries_on_two_streams():
    torch, cupy = gpu_makers.usable("torch"), gpu_makers.usable("cupy")
    A, B = operands(200, 300, 100)
    a, b = torch.array(np.full_like(A, np.nan)), cupy.array(np.full_like(B, np.nan))
    good_a, good_b = torch.array(A), cupy.array(B)
    cupy.spin(1)
    of_torch, of_cupy = torch.stream(), cupy.stream()
    torch.wait()
    with torch.on(of_torch), cupy.on(of_cupy):
        torch.spin(SPIN)
        cupy.spin(2 * SPIN)
        torch.assign(a, good_a)
        cupy.assign(b, good_b)
        c = frugalblas.sgemm(a, b)
        assert torch.is_kind(c)
    of_torch.synchronize()
    check(torch.numpy(c), A, B)


def test_operands_may_go_before_the_product_has_begun(streaming):
    A, B = operands(512, 512, 512)
    out = streaming.array(np.zeros((512, 512), np.float32))
    mine = streaming.stream()
    for _ in range(5):
        a, b = streaming.array(A), streaming.array(B)
        with streaming.on(mine):
            streaming.spin(SPIN // 10)
        frugalblas.sgemm(a, b, out=out, stream=mine)
        del a, b
        # Memory that was free would be given out again at once, on a stream that waits for nothing.
        rubbish = [streaming.array(np.full_like(A, np.nan)) for _ in range(4)]
        mine.synchronize()
        check(streaming.numpy(out), A, B)
        del rubbish


def test_immutable_results_outlive_their_operands():
    maker = gpu_makers.usable("jax")
    A, B = operands(300, 200, 100)
    made = [frugalblas.sgemm(maker.array(A), maker.array(B)) for _ in range(20)]
    for c in made:
        check(maker.numpy(c), A, B)


# ---- NumPy ----


@pytest.mark.parametrize("algo", EXACT)
@pytest.mark.parametrize("beta", [0.0, -0.5])
@pytest.mark.parametrize("order", ["C", "F", "sliced"])
def test_numpy_in_numpy_out(algo, beta, order):
    def laid(x):
        wide = np.full((x.shape[0], x.shape[1] + 3), np.nan, np.float32)
        wide[:, :-3] = x
        return {"C": x, "F": np.asfortranarray(x), "sliced": wide[:, :-3]}[order]

    A, B = map(laid, operands(131, 261, 70))
    C0 = normal(131, 261)
    out = laid(C0.copy() if beta else np.full_like(C0, np.nan))
    how = {"alpha": 1.5, "beta": beta}
    assert frugalblas.sgemm(A, B, out=out, algo=algo, **how) is out
    check(out, A, B, C0, **how)
    check(frugalblas.sgemm(A.T, B.T, algo=algo, trans_a=True, trans_b=True), A, B)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("M", "N", "K"), [(9001, 1203, 1101), (300, 9001, 2100), (17000, 2, 2051)])
def test_large_numpy_arrays_travel_in_pieces(M, N, K, transposed):
    A, B = operands(M, N, K)
    a, C0 = (np.asfortranarray(A) if transposed else A), normal(M, N)
    out = C0.copy()
    frugalblas.sgemm(a, B, out=out, algo="cuda_tiled", alpha=0.5, beta=2.0)
    rows = np.unique([0, *range(255, M, 256), *range(256, M, 256), M - 1])  # both sides of every place to cut
    check(out[rows], A[rows], B, C0[rows], alpha=0.5, beta=2.0)
    assert np.isfinite(out).all()


# ---- every rung in every precision ----


@pytest.mark.parametrize(("algo", "precision"), WAYS)
def test_ragged_shapes_are_within_the_published_bound(algo, precision):
    maker = gpu_makers.first_usable()
    for M, N, K in SHAPES:
        A, B = operands(M, N, K)
        within(frugalblas.sgemm(A, B, algo=algo, precision=precision), A, B, precision)
        if K:  # not every library has arrays without elements
            c = frugalblas.sgemm(maker.array(A), maker.array(B), algo=algo, precision=precision)
            within(maker.numpy(c), A, B, precision)


@pytest.mark.parametrize(("algo", "precision"), WAYS)
def test_every_family_of_inputs_is_within_the_published_bound(algo, precision):
    for M, N, K in ((96, 80, 1024), (257, 131, 4096)):
        for family, found in frugalblas.accuracy(algo, precision, M=M, N=N, K=K).items():
            if found["bound_u"] is not None:
                assert found["max_error_u"] <= found["bound_u"], family


@pytest.mark.parametrize(("algo", "precision"), [way for way in WAYS if way[0] != "cublas"])
def test_the_same_bits_every_time(algo, precision):
    maker = gpu_makers.first_usable()
    for M, N, K in ((515, 387, 300), (20, 24, 4096), (2048, 2048, 64)):
        a, b = map(maker.array, operands(M, N, K))
        bits = {maker.numpy(frugalblas.sgemm(a, b, algo=algo, precision=precision)).tobytes() for _ in range(5)}
        assert len(bits) == 1


def test_nan_and_infinity_arrive():
    A, B = operands(130, 140, 50)
    A[7, 3], A[100, 20] = np.nan, np.inf
    for algo in EXACT:
        C = frugalblas.sgemm(A, B, algo=algo)
        assert np.isnan(C[7]).all()
        assert np.isinf(C[100]).all()
        rest = np.delete(np.arange(130), [7, 100])
        check(C[rest], A[rest], B)


# ---- what the library says of itself ----


def test_info_and_explain():
    told = frugalblas.info()["cuda"]
    assert told["reason"] is None
    assert told["driver"]
    assert all(device["name"] and device["processors"] > 0 for device in told["devices"])
    maker = gpu_makers.first_usable()
    said = frugalblas.explain(*map(maker.array, operands(6, 7, 8)))
    assert (said["algo"], said["M"], said["N"], said["K"]) == ("cuda_tiled", 6, 7, 8)


def test_cublas_is_that_of_this_machine():
    if not CARDS["cublas"].available:
        pytest.skip(CARDS["cublas"].reason)
    found = frugalblas.info()["cuda"]["cublas"]
    assert "libcublas.so" in found["path"]
    assert found["version"] >= 120000


# ---- joules ----


def test_the_meter_agrees_with_the_drivers_own_counter():
    pynvml = gpu_makers.module("pynvml")
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        pytest.skip(f"this GPU has no energy counter: {error}")
    uuid = pynvml.nvmlDeviceGetUUID(handle)
    A, B = operands(1024, 1024, 1024)
    with Meter("gpu", gpus=[uuid if isinstance(uuid, str) else uuid.decode()]) as meter:
        with meter.region("products") as reading:
            before, until = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), time.monotonic() + 3
            while time.monotonic() < until:
                frugalblas.sgemm(A, B, algo="cuda_tiled")
            after = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        joules = (after - before) / 1000
        # Each reading is of the counter's last move, which may be a tick ago: at both ends, for both.
        assert abs(reading.gross.value - joules) <= 4 * meter.tick_s * joules / 3 + 0.002
        assert reading.gross.provenance is Provenance.MEASURED
