"""Times and joules of products on a GPU: a kernel and cuBLAS in turn, in one process, on the same N(0,1) data."""

import ctypes
import statistics
import time
from collections.abc import Callable
from typing import Any

from steps import ROOT, load_module

SAMPLES = 20
SAMPLE_MS = 5.0  # calls of one sample, together
SLOW_SECONDS, FEWEST_SAMPLES = 2.0, 7  # of a call that is slower, so many samples as fit, but not fewer
ENERGY_SECONDS = 1.0  # between two moves of NVML's counter, of which there are some 10 a second
COUNTER_STANDS_SECONDS = 30.0  # without a move: longer than the slowest call
# Operands come in turn from sets that together are three times the L2 of an H100 or H200, so that none is still there.
OUT_OF_CACHE_BYTES = 3 * 60 * 2**20
CHECKED_ROWS = 128  # of C, against float64
# Values of cublas_api.h: cublasMath_t, cudaDataType by dtype, cublasComputeType_t, cublasGemmAlgo_t.
PEDANTIC_MATH = 2
DATA_TYPE = {"float32": 0, "float16": 2, "bfloat16": 14}
COMPUTE_32F, COMPUTE_FAST = 68, {"fp16": 74, "bf16": 75, "tf32": 77}  # the latter round float32 operands
DEFAULT_ALGORITHM = -1

Call = Callable[[int], Any]


class DirectCublas:
    """cuBLAS called through ctypes, in FP32 pedantic: what the passthrough and variants of kernels are held against."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        self._handle = ctypes.c_void_p()
        self._check(self._library.cublasCreate_v2(ctypes.byref(self._handle)))
        version = ctypes.c_int()
        self._check(self._library.cublasGetVersion_v2(self._handle, ctypes.byref(version)))
        self.version = version.value
        self._one, self._zero = ctypes.c_float(1), ctypes.c_float(0)

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise RuntimeError(f"cuBLAS said {status}")

    def multiply(self, A: Any, B: Any, out: Any, stream: int, precision: str = "fp32", trans_a: bool = False) -> None:
        """out = op(A)·B, all row-major: to cuBLAS, which counts columns first, out^T = B^T·op(A)^T."""
        (M, N), K = out.shape, B.shape[0]
        m, n, k, lda, ldb, ldc = (ctypes.c_int64(size) for size in (N, M, K, N, M if trans_a else K, N))
        a, b, c = (ctypes.c_void_p(x.data_ptr()) for x in (B, A, out))
        one, zero, ops = ctypes.byref(self._one), ctypes.byref(self._zero), (0, int(trans_a))
        self._check(self._library.cublasSetStream_v2(self._handle, ctypes.c_void_p(stream)))
        self._check(self._library.cublasSetMathMode(self._handle, PEDANTIC_MATH if precision == "fp32" else 0))
        if precision == "fp32":
            shape = (m, n, k, one, a, lda, b, ldb, zero, c, ldc)
            self._check(self._library.cublasSgemm_v2_64(self._handle, *ops, *shape))
            return
        kind = DATA_TYPE[str(A.dtype).removeprefix("torch.")]
        compute = COMPUTE_FAST[precision] if kind == DATA_TYPE["float32"] else COMPUTE_32F
        typed = (m, n, k, one, a, kind, lda, b, kind, ldb, zero, c, DATA_TYPE["float32"], ldc)
        self._check(self._library.cublasGemmEx_64(self._handle, *ops, *typed, compute, DEFAULT_ALGORITHM))


def open_cublas() -> DirectCublas:
    """The first cuBLAS of those that the project would use, found by its own finder, which stands alone."""
    finder: Any = load_module(ROOT / "src/frugalblas/cublas.py")
    tried = []
    for candidate in finder.candidates():
        try:
            if candidate.lt:
                ctypes.CDLL(candidate.lt, ctypes.RTLD_GLOBAL)
            return DirectCublas(candidate.path)
        except (OSError, RuntimeError) as error:
            tried.append(str(error))
    raise SystemExit(f"no cuBLAS was found: {'; '.join(tried)}")


class Bench:
    """The measuring, on the first GPU. `energy_mj` reads the energy it has used since its driver was loaded."""

    samples, sample_ms, energy_seconds, bytes_of_sets = SAMPLES, SAMPLE_MS, ENERGY_SECONDS, OUT_OF_CACHE_BYTES

    def __init__(self, torch: Any, frugalblas: Any, energy_mj: Callable[[], float]) -> None:
        self.torch, self.frugalblas, self.energy_mj = torch, frugalblas, energy_mj

    # ---- three clocks ----

    def kernel_ms(self, call: Call, repeats: int) -> float:
        """The GPU's time for one of `repeats` calls: they are enqueued while it sleeps, so that Python is not timed."""
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.cuda._sleep(100_000 + 200_000 * repeats)  # clocks: some 100 us a call
        start.record()
        for i in range(repeats):
            call(i)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / repeats

    def resident_ms(self, call: Call) -> float:
        """From the call to the complete result, of arrays that are on the GPU."""
        self.torch.cuda.synchronize()
        started = time.perf_counter()
        call(0)
        self.torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - started)

    def joules(self, call: Call, repeats: int) -> float:
        """Of the whole board, for one call of many in a row: from one move of the counter to another."""
        calls = 0

        def go_on() -> None:
            nonlocal calls
            for i in range(repeats):
                call(i)
            self.torch.cuda.synchronize()
            calls += repeats

        def next_move() -> tuple[float, int]:
            """Where the counter is then, and the calls so far."""
            before, until = self.energy_mj(), time.monotonic() + COUNTER_STANDS_SECONDS
            while time.monotonic() < until:
                go_on()
                if (now := self.energy_mj()) != before:
                    return now, calls
            raise RuntimeError("the GPU's energy counter does not move")

        first, until = next_move(), time.monotonic() + self.energy_seconds
        while time.monotonic() < until:  # without a look at the counter, which the GPU would spend idle
            go_on()
        last = next_move()
        return (last[0] - first[0]) / 1000 / (last[1] - first[1])

    # ---- what is timed ----

    def operands(self, precision: str, M: int, N: int, K: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Sets of A, B and C. fp16 and bf16 operands are made of that type, as GemmEx is usually called."""
        torch = self.torch
        sets = max(2, self.bytes_of_sets // (4 * (M * K + K * N + M * N)) + 1)
        made = {"device": "cuda", "generator": torch.Generator("cuda").manual_seed(0)}
        A, B = ([torch.randn(shape, **made) for _ in range(sets)] for shape in ((M, K), (K, N)))
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        if kind is not None:
            A, B = [a.to(kind) for a in A], [b.to(kind) for b in B]
        return A, B, [torch.empty((M, N), device="cuda") for _ in range(sets)]

    def error_u(self, A: Any, B: Any, C: Any) -> float:
        """max |C - C64| / (|A||B|) over some rows, the last among them, in units of 2**-24."""
        a, b = A[-CHECKED_ROWS:].double(), B.double()
        wrong = (C[-CHECKED_ROWS:].double() - a @ b).abs() / (a.abs() @ b.abs())
        return float(wrong.max()) * 2.0**24

    def interleaved(self, calls: dict[str, Call], one: Callable[[str, Call], float]) -> dict[str, list[float]]:
        """Samples of each call in turn, fewer of slow ones; `one` measures a call of that name."""
        samples: dict[str, list[float]] = {name: [] for name in calls}
        started = time.monotonic()
        for number in range(self.samples):
            if number >= FEWEST_SAMPLES and time.monotonic() > started + SLOW_SECONDS * len(calls):
                break
            for name, call in calls.items():
                samples[name].append(one(name, call))
        return samples

    def repeats(self, calls: dict[str, Call]) -> dict[str, int]:
        """How often each call is made for one sample."""
        return {
            name: max(1, min(200, int(self.sample_ms / max(self.kernel_ms(call, 2), 1e-3))))
            for name, call in calls.items()
        }

    def case(self, algo: str, precision: str, M: int, N: int, K: int) -> dict[str, Any]:
        """One kernel beside cuBLAS: kernel-only and device-resident times, joules, errors."""
        A, B, C = self.operands(precision, M, N, K)

        def runner(name: str) -> Call:
            return lambda i: self.frugalblas.sgemm(
                A[i % len(A)], B[i % len(B)], out=C[i % len(C)], algo=name, precision=precision
            )

        calls = {algo: runner(algo), "cublas": runner("cublas")}
        errors = {}
        for name, call in calls.items():
            C[0].fill_(float("nan"))
            call(0)
            errors[name] = self.error_u(A[0], B[0], C[0])
        repeats = self.repeats(calls)
        kernel = self.interleaved(calls, lambda name, call: self.kernel_ms(call, repeats[name]))
        medians = {name: statistics.median(values) for name, values in kernel.items()}
        return {
            **{"algo": algo, "precision": precision, "M": M, "N": N, "K": K},
            "error_u": errors,
            "tflops": {name: 2 * M * N * K / ms / 1e9 for name, ms in medians.items()},
            "ratio": medians["cublas"] / medians[algo],
            "kernel_ms": kernel,
            "resident_ms": self.interleaved(calls, lambda _, call: self.resident_ms(call)),
            "joules_per_call": {name: self.joules(call, repeats[name]) for name, call in calls.items()},
        }

    def passthrough(self, library: str, n: int) -> dict[str, Any]:
        """The rung `cublas` beside the same function called directly, FP32, n x n x n."""
        direct = DirectCublas(library)
        A, B, C = self.operands("fp32", n, n, n)
        stream = int(self.torch.cuda.current_stream().cuda_stream)
        calls: dict[str, Call] = {
            "cublas": lambda i: self.frugalblas.sgemm(
                A[i % len(A)], B[i % len(B)], out=C[i % len(C)], algo="cublas", precision="fp32"
            ),
            "direct": lambda i: direct.multiply(A[i % len(A)], B[i % len(B)], C[i % len(C)], stream),
        }
        C[0].fill_(float("nan"))
        calls["direct"](0)
        error_u = self.error_u(A[0], B[0], C[0])
        repeats = self.repeats(calls)["direct"]
        samples = self.interleaved(calls, lambda _, call: self.kernel_ms(call, repeats))
        medians = {name: statistics.median(values) for name, values in samples.items()}
        return {"n": n, "error_u": error_u, "ratio": medians["direct"] / medians["cublas"], "kernel_ms": samples}

    def host(self, numpy: Any, n: int) -> dict[str, Any]:
        """NumPy in, NumPy out, against the time that the bytes alone take to and from pinned memory.

        Both ways one after the other, and overlapped: the longer of the two, where kernels do not take longer still.
        """
        torch = self.torch
        A, B = (numpy.random.default_rng(i).standard_normal((n, n), numpy.float32) for i in range(2))
        out = numpy.empty((n, n), numpy.float32)
        precisions = {"cuda_tiled": "fp32", "cublas": "fp32", "cuda_wmma": "bf16"}
        seconds: dict[str, list[float]] = {algo: [] for algo in precisions}
        for _ in range(7):
            for algo, samples in seconds.items():
                started = time.perf_counter()
                self.frugalblas.sgemm(A, B, out=out, algo=algo, precision=precisions[algo])
                samples.append(time.perf_counter() - started)
        pinned, on_gpu = torch.empty((n, n), pin_memory=True), torch.empty((n, n), device="cuda")
        up = self.kernel_ms(lambda _: on_gpu.copy_(pinned, non_blocking=True), 5) / 1000
        down = self.kernel_ms(lambda _: pinned.copy_(on_gpu, non_blocking=True), 5) / 1000
        bound, overlapped = 2 * up + down, max(2 * up, down)
        medians = {algo: statistics.median(samples) for algo, samples in seconds.items()}
        return {
            **{"n": n, "seconds": seconds, "pcie_bound_seconds": bound, "overlapped_bound_seconds": overlapped},
            "tflops": {algo: 2 * n**3 / median / 1e12 for algo, median in medians.items()},
            "of_bound": {algo: bound / median for algo, median in medians.items()},
            "of_overlapped_bound": {algo: overlapped / median for algo, median in medians.items()},
        }
