"""bench/gpu/tune.py, rehearsed without a GPU: its variants are compiled for the emulator and computed there."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tree import ROOT, bench_gpu

FOLDER = ROOT / "bench" / "gpu"


@pytest.fixture(scope="module", autouse=True)
def _source():
    if not FOLDER.exists():
        pytest.skip("the source is not here (no bench/ beside tests/): an installed package is being tested")
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler to build the emulator with")


@pytest.fixture(scope="module")
def variants(_source):
    return bench_gpu("variants")


def rehearse(folder, *words):
    command = [sys.executable, FOLDER / "tune.py", "--dry-run", folder, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


# Another tile and depth of cuda_tiled; fragments read ahead, in a precision whose operands are rounded on the way.
FEW = ("--only", "1, 4", "STAGES=3", "=16", "--only", "tf32", "2, 2", "=64 STAGES=3 read ahead")


def test_every_variant_fits_the_source(variants):
    found = variants.all_variants()
    keys = [variant.key for variant in found]  # made of the sources: a constant that is not there once is an error
    assert len(keys) == len({*keys})
    assert {variant.kernel for variant in found} == {"cuda_tiled", "cuda_wmma"}
    as_it_is = [(v.kernel, v.precision) for v in found if v.name == "as it is"]
    assert as_it_is == [("cuda_tiled", "fp32"), *(("cuda_wmma", p) for p in ("bf16", "tf32", "fp16"))]
    for variant in found:
        assert all(value in variant.source for value in variant.constants.values())


def test_a_constant_that_is_not_in_the_source_is_an_error(variants, monkeypatch):
    variant = dataclasses.replace(variants.all_variants()[0], constants={"BK": "16"})
    monkeypatch.setitem(variants.CONSTANTS["cuda_tiled"], "BK", "constexpr int BLOCK_DEPTH = {};")
    with pytest.raises(ValueError, match=r"BK is set 0 times in cuda_tiled\.cu"):
        assert variant.key
    monkeypatch.setitem(variants.CONSTANTS["cuda_tiled"], "BK", "constexpr int {};")
    with pytest.raises(ValueError, match="times in"):
        assert variant.key


@pytest.mark.parametrize(
    ("registers", "warps", "shared_bytes", "blocks"),
    [
        (255, 8, 50176, 1),  # 8 warps of 32 * 256 registers: all 65536
        (128, 8, 33792, 2),
        (102, 4, 16896, 4),  # 104 registers, dealt in pieces of 256 a warp: 4.9 of a quarter's 16384
        (104, 2, 16896, 8),  # so not 9, which all 65536 together would hold
        (32, 2, 0, 32),
        (64, 8, 227 * 1024, 1),
        (64, 8, 227 * 1024 + 1, 0),
        (255, 16, 0, 0),
    ],
)
def test_blocks_that_a_processor_holds(registers, warps, shared_bytes, blocks):
    library = bench_gpu("tune_library")
    assert library.blocks_of_processor(90, registers, warps, shared_bytes) == blocks
    assert library.blocks_of_processor(123, registers, warps, shared_bytes) is None


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """A folder with the results of a rehearsal, and what it said."""
    folder = tmp_path_factory.mktemp("tune")
    done = rehearse(folder, *FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_a_rehearsal_checks_and_times_every_variant(rehearsed):
    folder, said = rehearsed
    result = json.loads((folder / "tune-rehearsal.json").read_text(encoding="utf-8"))
    assert result["rehearsal"] is True
    assert result["refused"] == []
    tiled, ahead = result["variants"]
    assert tiled["constants"] == {"Tile": "1, 4, 16, 8, 2", "BK": "16", "STAGES": "3"}
    assert tiled["resources"]["NN"]["shared_bytes"] == 3 * 16 * (64 + 4 + 256 + 4) * 4
    assert (ahead["precision"], ahead["read_ahead"]) == ("tf32", True)
    shapes = [(batch["n"], batch["layout"], *batch["error_u"]) for batch in result["batches"]]
    sizes = [(32, tiled), (32, ahead), (64, tiled), (64, ahead), (8, ahead), (16, tiled), (16, ahead)]
    assert shapes == [(n, layout, variant["key"]) for layout in ("NN", "TN") for n, variant in sizes]
    for batch in result["batches"]:
        (error,) = batch["error_u"].values()
        assert 0 < error <= (2**14 if batch["precision"] == "tf32" else 0) + 1.01 * batch["n"]
        assert {len(samples) for samples in batch["kernel_ms"].values()} == {2}
        assert set(batch["ratio"]) == {"cublas", *batch["error_u"]}
    assert "<1, 4, 16, 8, 2> BK=16 STAGES=3" in said
    assert "<2, 2> DEPTH_BYTES=64 STAGES=3 read ahead" in said
    assert "0 wrong or failed" in said


def test_a_tuning_goes_on_where_it_was_cut_short(rehearsed, tmp_path):
    folder, _ = rehearsed
    result = json.loads((folder / "tune-rehearsal.json").read_text(encoding="utf-8"))
    lost = result["batches"].pop(2)
    (tmp_path / "tune-rehearsal.json").write_text(json.dumps(result), encoding="utf-8")
    late = rehearse(tmp_path, *FEW, "--library", folder / "compiled", "--minutes", "0")
    assert late.returncode == 3
    done = rehearse(tmp_path, *FEW, "--library", folder / "compiled")
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "tune-rehearsal.json").read_text(encoding="utf-8"))["batches"]
    assert again[:-1] == result["batches"]
    assert (again[-1]["n"], again[-1]["layout"]) == (lost["n"], lost["layout"])


class Library:
    """Variants of which one stores nothing, and the other cannot start."""

    def asked(self, variant, A, B, C, layout, stream):
        return SimpleNamespace(C=C)

    def workspace_bytes(self, variant, asked):
        return 0

    def unusable(self, variant, layout):
        return None

    def run(self, variant, asked):
        if variant.precision == "bf16":
            raise RuntimeError("CUDA error 701")


def test_what_is_wrong_or_fails_is_told_and_left_out(variants, tmp_path, capsys):
    run = bench_gpu("results").Run(tmp_path / "run.json", {}, ("batches", "refused"), False, 1)
    bench = bench_gpu("measure").Bench(bench_gpu("rehearsal").torch(), None, None)
    bench.samples, bench.sample_ms, bench.bytes_of_sets = 1, 0.01, 0
    cublas = SimpleNamespace(multiply=lambda *arguments: None)
    tuner = bench_gpu("tune").Tuner(run, bench, Library(), cublas, scale=1024)
    made = [variants.Variant("cuda_tiled", "fp32", (1024, 2048)), variants.Variant("cuda_wmma", "bf16", (1024, 2048))]
    assert tuner.measure(made)
    refused = [(entry["key"], entry["layout"], entry["reason"].split(",")[0]) for entry in run.result["refused"]]
    wrong, failed = "wrong: error nan u", "failed: CUDA error 701"
    assert refused == [
        (v.key, layout, why) for layout in ("NN", "TN") for v, why in zip(made, (wrong, failed), strict=True)
    ]
    assert wrong in capsys.readouterr().out
    assert [[*batch["ratio"]] for batch in run.result["batches"]] == [["cublas"]] * 4  # once each: not tried again


def test_the_table_begins_with_who_is_nearest_to_the_best_of_each_shape():
    resources = {layout: {"registers": 90, "shared_bytes": 2048, "blocks": 1} for layout in ("NN", "TN")}
    kind = {"kernel": "cuda_tiled", "precision": "fp32"}
    ratios = {
        1024: {"small": 0.8},
        2048: {"small": 0.5, "large": 0.7, "larger": 0.6},
        4096: {"large": 0.9, "larger": 1},
    }
    result = {
        "variants": [
            {"key": key, "name": f"a {key} tile", "resources": resources} for key in ("small", "large", "larger")
        ],
        "batches": [
            {**kind, "n": n, "layout": "NN", "ratio": of, "tflops": of, "error_u": of} for n, of in ratios.items()
        ],
    }
    head, *rows = bench_gpu("tune").table(result).strip().splitlines()[:4]
    assert head.split()[-6:] == ["1024", "NN", "2048", "NN", "4096", "NN"]
    assert [row.split()[1] for row in rows] == ["large", "larger", "small"]
    assert rows[2].split()[-4:] == ["0.8", "0.800", "0.500", "–"]


def test_without_a_gpu_it_says_so(tmp_path):
    empty = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, FOLDER / "tune.py"], capture_output=True, text=True, env=empty)
    assert (done.returncode, done.stderr) == (2, "no GPU: nvidia-smi is not there or lists none\n")
