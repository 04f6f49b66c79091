"""The variants of the GPU kernels that tune.py compares: the kernels' sources with other values of their constants."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LARGE, SMALL = (4096, 8192, 2048), (1024, 2048)  # n of the squares that a variant is for
# Where each constant is set, {} standing for its value. Each must be in the source once.
CONSTANTS = {
    "cuda_tiled": {
        "Tile": "using Large = Tile<{}>;",
        "BK": "constexpr int BK = {};",
        "STAGES": "constexpr int STAGES = {};",
        "LANES_M": "constexpr int LANES_M = {}, LANES_N",
        "LANES_N": "LANES_N = {};",
        "WANTED_TILES": "constexpr index_t WANTED_TILES = {};",
        "GROUP": "constexpr index_t GROUP = {};",
    },
    "cuda_wmma": {
        "Tile": "using Large = Tile<{}>;",
        "DEPTH_BYTES": "constexpr int DEPTH_BYTES = {};",
        "STAGES": "return capability < 80 ? 2 : {};",
        "GROUP": "constexpr index_t GROUP = {};",
    },
}
# What need not be compiled: the other tile, and B transposed. A takes both orders, for its panel is the harder one.
LEFT_OUT = {
    "cuda_tiled": [
        (
            "a ? (b ? tiled_kernel<T, 4, 4> : tiled_kernel<T, 4, 1>) : "
            "(b ? tiled_kernel<T, 1, 4> : tiled_kernel<T, 1, 1>)",
            "a && b ? tiled_kernel<T, 4, 4> : tiled_kernel<T, 1, 4>",
        ),
        ("takes_large(job) ? run_tile<Large>(job) : run_tile<Small>(job)", "run_tile<Large>(job)"),
    ],
    "cuda_wmma": [
        (
            "return large ? run_tile<In, Acc, A_TRANS, B_TRANS, Large>(job, p) : "
            "run_tile<In, Acc, A_TRANS, B_TRANS, Small>(job, p);",
            "return run_tile<In, Acc, A_TRANS, B_TRANS, Large>(job, p);",
        ),
        (
            "if (job.A.transposed) return job.B.transposed ? with.template operator()<true, true>() : "
            "with.template operator()<true, false>(); "
            "return job.B.transposed ? with.template operator()<false, true>() : "
            "with.template operator()<false, false>();",
            "(void)large; return job.A.transposed ? with.template operator()<true, false>() : "
            "with.template operator()<false, false>();",
        ),
    ],
}
# In cuda_wmma, of the launcher: what each precision runs.
RUN_AS = {
    "fp16": "job.accumulate == Accumulate::fp16 ? run_as<half, half>(job) : run_as<half, float>(job)",
    "bf16": "run_as<bf16, float>(job)",
    "tf32": "run_as<tf32, float>(job)",
}
# The loop of cuda_wmma as cuda_tiled has it: a step's fragments are read while those of the step before are
# multiplied, also across the end of a stage, so that nobody stands at a barrier with nothing to multiply.
READ_AHEAD = (
    """
    for (int t = 0; t < panels; ++t) {
      copy_async_wait<STAGES - 2>();
      __syncthreads();  // panel t is there for all, and all have left the stage that is filled next
      if (t + STAGES - 1 < panels) load(t + STAGES - 1);
      copy_async_commit();  // also where there is nothing left: the wait counts groups
      const Memory* const stage = shared + t % STAGES * STAGE;
      multiply_stage(sum, stage, stage + PanelA::SIZE, m0, n0);
    }
    """,
    """
    constexpr int STEPS = PanelA::DEPTH / KF;  // even: a stage then begins with the first set of fragments
    static_assert(STEPS % 2 == 0);
    FragmentA fa[2][4];
    FragmentB fb[2][4];
    const auto read = [&](int set, const Memory* stage, int step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) load_shared(fa[set][i], stage + PanelA::at(m0 + i * F, step * KF), PanelA::LD);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        load_shared(fb[set][j], stage + PanelA::SIZE + PanelB::at(n0 + j * F, step * KF), PanelB::LD);
    };
    copy_async_wait<STAGES - 2>();
    __syncthreads();
    if (panels > 0) read(0, shared, 0);
    for (int t = 0; t < panels; ++t) {
      const Memory* stage = shared + t % STAGES * STAGE;
#pragma unroll
      for (int step = 0; step < STEPS; ++step) {
        if (step == 0) {  // into the stage that all had left before the last barrier
          if (t + STAGES - 1 < panels) load(t + STAGES - 1);
          copy_async_commit();
        }
        if (step == STEPS - 1) {
          copy_async_wait<STAGES - 2>();
          __syncthreads();
          stage = shared + (t + 1) % STAGES * STAGE;
        }
        read((step + 1) % 2, stage, (step + 1) % STEPS);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) wmma::mma_sync(sum[i][j], fa[step % 2][i], fb[step % 2][j], sum[i][j]);
      }
    }
    """,
)


@dataclass(frozen=True)
class Variant:
    """One kernel in one precision with some of its constants changed."""

    kernel: str
    precision: str
    sizes: tuple[int, ...]
    constants: dict[str, str] = field(default_factory=dict)
    read_ahead: bool = False

    @property
    def name(self) -> str:
        values = [f"{name}={value}" if name != "Tile" else f"<{value}>" for name, value in self.constants.items()]
        return " ".join([*values, *(["read ahead"] if self.read_ahead else [])]) or "as it is"

    @cached_property
    def key(self) -> str:
        """A C++ name, the same as long as the source is."""
        return f"{self.kernel}_{self.precision}_{hashlib.sha256(_text(self, 'variant').encode()).hexdigest()[:12]}"

    @property
    def source(self) -> str:
        return _text(self, self.key)


def _replaced(text: str, old: str, new: str) -> str:
    """`text` with `old`, whatever the white space in it, which must be there once."""
    pattern = r"\s+".join(map(re.escape, old.split()))
    changed, count = re.subn(pattern, lambda _: new, text)
    if count != 1:
        raise ValueError(f"is {count} times in the source, not once: {old}")
    return changed


def _text(variant: Variant, symbol: str) -> str:
    folder = ROOT / "cuda"
    text = (folder / "kernels" / f"{variant.kernel}.cu").read_text(encoding="utf-8")
    shared = (folder / "tile.cuh").read_text(encoding="utf-8").replace("#pragma once\n", "")
    text = _replaced(text, '#include "../tile.cuh"', shared)
    for name, value in variant.constants.items():
        before, after = CONSTANTS[variant.kernel][name].split("{}")
        found = re.findall(f"{re.escape(before)}[^;]*?{re.escape(after)}", text)
        if len(found) != 1:
            raise ValueError(f"{name} is set {len(found)} times in {variant.kernel}.cu, not once")
        text = text.replace(found[0], f"{before}{value}{after}")
    for old, new in LEFT_OUT[variant.kernel]:
        text = _replaced(text, old, new)
    if variant.kernel == "cuda_wmma":
        for precision, call in RUN_AS.items():
            new = call.rpartition(" : ")[2] if precision == variant.precision else "cudaErrorInvalidValue"
            text = _replaced(text, f"return {call};", f"return {new};")
    if variant.read_ahead:
        text = _replaced(text, *READ_AHEAD)
    declared = f"extern const Kernel {symbol};\nconst Kernel {symbol} ="
    return _replaced(text, f"const Kernel {variant.kernel} =", declared)


def _fills_all_threads(tile: str, bk: int) -> bool:
    """Whether every thread has 16 bytes of both panels to copy, which cuda_tiled relies on."""
    warps_m, warps_n, tm, tn, _ = map(int, tile.split(","))
    return min(warps_m * 4 * tm, warps_n * 8 * tn) * bk // 4 >= 32 * warps_m * warps_n


def _tiled() -> list[Variant]:
    def made(sizes: tuple[int, ...], **constants: object) -> Variant:
        return Variant("cuda_tiled", "fp32", sizes, {name: str(value) for name, value in constants.items()})

    # Warps down and along, rows and columns of a thread, blocks on a processor. A warp is 4 x 8 threads.
    large = [
        "2, 4, 16, 8, 1",  # 128x256, 8 warps: as it is
        "4, 2, 16, 8, 1",  # 256x128
        "4, 2, 8, 16, 1",  # 128x256 in warps of 32x128
        "4, 2, 8, 8, 1",  # 128x128, 8 warps
        "4, 2, 8, 8, 2",
        "2, 2, 16, 8, 2",  # 128x128, 4 warps
        "1, 4, 16, 8, 2",  # 64x256, 4 warps
        "2, 4, 8, 8, 2",  # 64x256, 8 warps
    ]
    small = [
        "2, 2, 8, 4, 5",  # 64x64, 4 warps: as it is
        "2, 2, 8, 4, 4",
        "2, 1, 8, 8, 6",  # 64x64, 2 warps
        "1, 2, 16, 4, 6",  # 64x64, 2 warps
        "2, 2, 8, 8, 3",  # 64x128, 4 warps
        "4, 2, 8, 4, 2",  # 128x64, 8 warps
    ]
    found = [made(LARGE), made(LARGE, GROUP=4), made(LARGE, GROUP=16)]
    found += [made(LARGE, Tile="2, 4, 8, 16, 1", LANES_M=8, LANES_N=4, BK=bk) for bk in (8, 16)]
    # Of K in flight: no more than 96, which is 150 KiB of the largest tiles.
    depths = [(bk, stages) for bk, stages in product((8, 16, 32), (2, 3, 4)) if bk * stages <= 96]
    found += [
        made(LARGE, Tile=tile, BK=bk, STAGES=s)
        for tile in large
        for bk, s in depths
        if (tile, bk, s) != (large[0], 8, 4) and _fills_all_threads(tile, bk)  # the first: as it is
    ]
    found += [
        made(SMALL, Tile=tile, BK=bk, STAGES=s)
        for tile, bk, s in product(small, (8, 16), (3, 4))
        if _fills_all_threads(tile, bk)
    ]
    found += [made(SMALL, Tile=small[0], WANTED_TILES=wanted) for wanted in (1, 256, 1024)]
    return found


def _wmma() -> list[Variant]:
    def made(precision: str, sizes: tuple[int, ...], read_ahead: bool, **constants: object) -> Variant:
        values = {name: str(value) for name, value in constants.items()}
        return Variant("cuda_wmma", precision, sizes, values, read_ahead)

    found = []
    tiles = ("2, 4", "4, 2", "2, 2", "1, 4")  # warps of 64x64 down and along
    depths = [(64, 3), (64, 4), (128, 2), (128, 3)]  # of all precisions
    more = [(64, 2), (64, 6), (128, 4)]
    for precision in ("bf16", "tf32", "fp16"):
        found.append(made(precision, LARGE, False))
        found += [
            made(precision, (*LARGE, 1024) if tile == "2, 2" else LARGE, ahead, Tile=tile, DEPTH_BYTES=depth, STAGES=s)
            for tile in (tiles[::2] if precision == "fp16" else tiles)  # fp16 lies as bf16 does
            for depth, s in depths + (more if precision == "bf16" else [])
            for ahead in (False, True)
            if (tile, depth, s, ahead) != ("2, 4", 64, 3, False)  # as it is
        ]
    for tile, depth, stages, ahead in product(("1, 2", "1, 1", "2, 1"), (64, 128), (3, 4), (False, True)):
        found.append(made("bf16", SMALL, ahead, Tile=tile, DEPTH_BYTES=depth, STAGES=stages))
    found += [made("bf16", LARGE, False, GROUP=group) for group in (4, 16)]
    return found


def all_variants() -> list[Variant]:
    """Every variant, the kernels as they are first."""
    return _tiled() + _wmma()
