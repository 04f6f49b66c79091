"""bench/gpu/tune.py, rehearsed without a GPU: its variants are compiled for the emulator and computed there."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

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
FEW = ("--only", "1, 4", "STAGES=3", "=16")
AHEAD = ("--only", "tf32", "2, 2", "=128 STAGES=2 read ahead")


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
        (102, 4, 16896, 4),  # 104 registers, dealt in pieces of 256 a warp: 4.9
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
    (variant,) = result["variants"]
    assert variant["constants"] == {"Tile": "1, 4, 16, 8, 2", "BK": "16", "STAGES": "3"}
    assert variant["resources"]["NN"]["shared_bytes"] == 3 * 16 * (64 + 4 + 256 + 4) * 4
    shapes = [(batch["n"], batch["layout"]) for batch in result["batches"]]
    assert shapes == [(n, layout) for layout in ("NN", "TN") for n in (64, 128, 32)]
    for batch in result["batches"]:
        assert 0 < batch["error_u"][variant["key"]] <= 1.01 * batch["n"]
        assert {len(samples) for samples in batch["kernel_ms"].values()} == {2}
        assert set(batch["ratio"]) == {"cublas", variant["key"]}
    assert "<1, 4, 16, 8, 2> BK=16 STAGES=3" in said
    assert "0 variants are wrong or failed" in said


def test_a_tuning_goes_on_where_it_was_cut_short(rehearsed, tmp_path):
    folder, _ = rehearsed
    result = json.loads((folder / "tune-rehearsal.json").read_text(encoding="utf-8"))
    lost = result["batches"].pop(2)
    (tmp_path / "tune-rehearsal.json").write_text(json.dumps(result), encoding="utf-8")
    done = rehearse(tmp_path, *FEW, "--library", folder / "compiled")
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "tune-rehearsal.json").read_text(encoding="utf-8"))["batches"]
    assert again[:-1] == result["batches"]
    assert (again[-1]["n"], again[-1]["layout"]) == (lost["n"], lost["layout"])
    late = rehearse(tmp_path, *FEW, "--library", folder / "compiled", "--fresh", "--minutes", "0")
    assert late.returncode == 3


def test_fragments_read_ahead_give_the_same_product(tmp_path):
    done = rehearse(tmp_path, *AHEAD)
    assert done.returncode == 0, done.stdout + done.stderr
    (variant,) = json.loads((tmp_path / "tune-rehearsal.json").read_text(encoding="utf-8"))["variants"]
    assert variant["read_ahead"] is True


def test_a_wrong_variant_is_told_and_left_out(rehearsed, tmp_path):
    """Wrong by a bound that no variant keeps."""
    folder, _ = rehearsed
    program = (FOLDER / "tune.py").read_text(encoding="utf-8")
    assert "if error <= bound:" in program
    changed = tmp_path / "tune.py"
    changed.write_text(program.replace("if error <= bound:", "if error <= bound * 1e-9:"), encoding="utf-8")
    command = [sys.executable, changed, "--dry-run", tmp_path, *FEW, "--library", folder / "compiled"]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 1, done.stderr
    refused = json.loads((tmp_path / "tune-rehearsal.json").read_text(encoding="utf-8"))["refused"]
    assert [r["layout"] for r in refused] == ["NN", "TN"]
    assert all(r["reason"].startswith("wrong: error") for r in refused)


def test_without_a_gpu_it_says_so(tmp_path):
    empty = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, FOLDER / "tune.py"], capture_output=True, text=True, env=empty)
    assert (done.returncode, done.stderr) == (2, "no GPU: nvidia-smi is not there or lists none\n")
