"""Golden vectors: what a GPU recorded of each primitive must come out of the emulator; and the recorder itself."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

SOURCE = ROOT / "cuda" / "golden.cu"
RECORDED = sorted((ROOT / "cuda" / "golden").glob("*.txt"))


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """The program of cuda/golden.cu, built on the emulator."""
    if not SOURCE.exists():
        pytest.skip("the source is not here (no cuda/ beside tests/): an installed package is being tested")
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        pytest.skip(f"no C++ compiler {compiler!r} to build the emulator with")
    program = tmp_path_factory.mktemp("golden") / "golden"
    sources = [str(SOURCE), str(ROOT / "cuda/emu/emulator.cpp")]
    flags = ["-std=c++20", "-O0", "-Wno-unknown-pragmas", "-DFB_EMULATE", f"-I{ROOT / 'cuda/emu'}"]
    subprocess.run([compiler, *flags, "-x", "c++", *sources, "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="module")
def recorded(golden):
    """What the emulator records of itself, in place of a GPU."""
    path = golden.with_name("emulator.txt")
    subprocess.run([golden, "record", path], check=True)
    return path


def replay(golden: Path, *files: Path) -> subprocess.CompletedProcess:
    return subprocess.run([golden, "replay", *files], capture_output=True, text=True)


@pytest.mark.parametrize("path", RECORDED or [None], ids=lambda path: path.stem if path else "none")
def test_the_emulator_gives_what_a_gpu_gave(request, path):
    if path is None:
        pytest.skip("no golden vectors have been recorded on a GPU yet: bench/gpu/run_all.py does, into cuda/golden/")
    done = replay(request.getfixturevalue("golden"), path)
    assert done.returncode == 0, done.stderr


def test_every_primitive_is_recorded(golden, recorded):
    text = recorded.read_text(encoding="utf-8")
    names = re.findall(r"^case (.*)$", text, re.MULTILINE)
    assert text.endswith(f"end {len(names)}\n")
    assert {"copy_async, some bytes", "copy_async, groups", "float to tf32", "float to fp16", "float to bf16"} < {
        *names
    }
    for types in ("fp16 fp32", "fp16 fp16", "bf16 fp32", "tf32 fp32"):
        for layouts in ("row row", "row col", "col row", "col col"):
            assert f"mma {types} {layouts} integers" in names
    done = replay(golden, recorded)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(names)} of {len(names)} cases agree, 0 not recorded" in done.stdout


def test_the_replay_sees_one_wrong_bit_of_each_case(golden, recorded, tmp_path):
    lines = recorded.read_text(encoding="utf-8").splitlines()
    cases = [number for number, line in enumerate(lines) if line.startswith("case ")]
    for number in cases:
        words = lines[number + 2].split()
        # A high bit of a word in the middle: for a sum, more than any rounding explains.
        flip = 0x4000 if "fp16 fp16" in lines[number] or "float to" in lines[number] else 0x40000000
        words[200 % len(words) or 1] = f"{int(words[200 % len(words) or 1], 16) ^ flip:x}"
        lines[number + 2] = " ".join(words)
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = replay(golden, wrong)
    assert done.returncode == 1
    told = [line.split(": ")[1] for line in done.stderr.splitlines()]
    assert told == [lines[number].removeprefix("case ") for number in cases]


DAMAGE = {
    "another file": (lambda text: "something else\n", "no golden vectors, version 1"),
    "cut short": (lambda text: text[: text.rindex("case ")], "cut short"),
    "a case that is no more": (
        lambda text: text.replace("case float to tf32", "case float to tf19"),
        "no such case now",
    ),
    "a letter among the words": (lambda text: text.replace("in ", "in x ", 1), "no such case now"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused(golden, recorded, tmp_path, damage):
    change, words = DAMAGE[damage]
    path = tmp_path / "damaged.txt"
    path.write_text(change(recorded.read_text(encoding="utf-8")), encoding="utf-8")
    done = replay(golden, path)
    assert done.returncode == 1
    assert words in done.stderr
