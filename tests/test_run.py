"""`frugalblas run` as its users meet it: any program, its streams, its end, and the profile of its products."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from children import output_of

import frugalblas
from frugalblas import cli, run_cli
from frugalblas.run import command, elf, families, libraries, provider, records

TIMEOUT_SECONDS = 120
ROOT = Path(__file__).resolve().parent.parent
FRUGALBLAS = [sys.executable, "-m", "frugalblas"]
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed (Debian: gcc)")

PREPARE = """
import numpy as np, os, sys
A = np.random.default_rng(0).standard_normal((40, 50), dtype=np.float32)
B = np.random.default_rng(1).standard_normal((50, 60), dtype=np.float32)
"""


def numpy_blas_is_reachable():
    config = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return "openblas" in config.get("name", "") or config.get("name") in ("blas", "cblas")


needs_blas = pytest.mark.skipif(not numpy_blas_is_reachable(), reason="this NumPy calls no BLAS by a replaceable name")


def run(*words, input=None, **environment):
    """The finished command, and its profile if there is one."""
    return subprocess.run(
        [*FRUGALBLAS, "run", *map(str, words)],
        input=input,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", **environment},
    )


@pytest.fixture
def profile_of(tmp_path):
    """Runs a Python text; the finished command and its JSON."""

    def profile_of(code, *options, arguments=(), **environment):
        script, file = tmp_path / "program.py", tmp_path / "profile.json"
        script.write_text(PREPARE + textwrap.dedent(code))
        done = run(*options, "--json", file, script, *arguments, **environment)
        return done, json.loads(file.read_text())

    return profile_of


def calls(profile, routine="sgemm"):
    return sum(product["calls"] for product in profile["products"] if product["routine"] == routine)


# ---- what it shows


@needs_blas
@pytest.mark.parametrize("options", [(), ("--observe",)])
def test_every_product_of_numpy_is_counted_by_shape(profile_of, options):
    done, profile = profile_of("for _ in range(3): A @ B\nA @ A.T; A @ B[:, 0]; np.dot(B.T, A.T)", *options)
    assert done.returncode == 0
    assert profile["schema"] == "frugalblas.run/1"
    assert profile["mode"] == ("observe" if options else "replace")
    shapes = {(p["routine"], p["M"], p["N"], p["K"]): p["calls"] for p in profile["products"]}
    # NumPy may ask for a row-major product as the column-major one of the transposes.
    assert sum(n for (r, *mnk), n in shapes.items() if r == "sgemm" and sorted(mnk) == [40, 50, 60]) == 4
    assert calls(profile) == 4
    assert calls(profile, "ssyrk") == 1
    assert calls(profile, "sgemv") == 1
    assert {p["family"] for p in profile["products"]} == {"numpy"}
    assert all(p["seconds"] > 0 and p["share"] < 1 for p in profile["products"])
    by_hand = 2 * 40 * 50 * 60 * 4
    assert sum(p["flops"] for p in profile["products"] if p["routine"] == "sgemm") == by_hand
    assert "numpy" in done.stderr
    assert "6 float32 products" in done.stderr


@needs_blas
def test_the_products_have_the_bits_of_sgemm(profile_of, tmp_path):
    saved = tmp_path / "products.npz"
    code = f"""
    rng = np.random.default_rng(5)
    products = {{}}
    for M, N, K in [(1, 1, 9), (3, 5, 7), (1, 300, 200), (300, 1, 200), (129, 130, 131), (257, 300, 513)]:
        X, Y = rng.standard_normal((M, K), dtype=np.float32), rng.standard_normal((K, N), dtype=np.float32)
        products[f"{{M}},{{N}},{{K}}"] = X @ Y
        products[f"{{M}},{{N}},{{K}},v"] = X @ Y[:, 0].copy()
        products[f"{{M}},{{N}},{{K}},t"] = X @ X.T
    np.savez({str(saved)!r}, **products)
    """
    done, profile = profile_of(code)
    assert done.returncode == 0, done.stderr
    assert calls(profile) >= 3
    products, rng = np.load(saved), np.random.default_rng(5)
    for M, N, K in [(1, 1, 9), (3, 5, 7), (1, 300, 200), (300, 1, 200), (129, 130, 131), (257, 300, 513)]:
        X, Y = rng.standard_normal((M, K), dtype=np.float32), rng.standard_normal((K, N), dtype=np.float32)
        if M * N > 1:  # NumPy makes a dot product of the others, which is left to its own BLAS
            np.testing.assert_array_equal(products[f"{M},{N},{K}"], frugalblas.sgemm(X, Y))
        if M > 1:
            np.testing.assert_array_equal(products[f"{M},{N},{K},v"], frugalblas.sgemm(X, Y[:, :1].copy())[:, 0])
            np.testing.assert_array_equal(products[f"{M},{N},{K},t"], frugalblas.sgemm(X, X.T))


THREE_DOORS = """
import warnings
def products(matmul):
    rng = np.random.default_rng(6)
    results, flags = [], []
    for M, N, K in [(3, 5, 7), (1, 300, 200), (300, 1, 200), (129, 130, 131), (257, 300, 513), (600, 600, 50)]:
        X, Y = rng.standard_normal((M, K), dtype=np.float32), rng.standard_normal((K, N), dtype=np.float32)
        infinite, last = X.copy(), np.ones((M, K), np.float32)
        infinite[-1], last[-1] = np.inf, 3e38
        pairs = [(X, Y), (X, X.T), (X, Y[:, -1].copy()), (np.stack([X] * 3), Y)]
        bad = [(last, np.ones_like(Y)), (infinite, np.zeros_like(Y)), (infinite, np.ones_like(Y))]
        for a, b in [*pairs, *(pair for pair in bad if M > 1)]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                results.append(matmul(a, b))
            flags.append(sorted(str(warning.message) for warning in caught))
    return results, flags
"""


@needs_blas
@pytest.mark.parametrize("threads", [1, 2])
def test_the_three_doors_give_the_same_bits_and_the_same_warnings(profile_of, tmp_path, threads):
    saved = tmp_path / "products.npz"
    code = (
        THREE_DOORS
        + f"""
results, flags = products(np.matmul)
np.savez({str(saved)!r}, *results)
print(flags)
"""
    )
    done, profile = profile_of(code, OMP_NUM_THREADS=str(threads))
    assert done.returncode == 0, done.stderr
    assert calls(profile) > 20
    here = {"np": np}
    exec(THREE_DOORS, here)
    with frugalblas.num_threads(threads):
        by_gufunc, warned = here["products"](frugalblas.matmul)
        for level in ("ufunc", "blas"):
            with frugalblas.patch_numpy(level):
                by_patch, warned_by_patch = here["products"](np.matmul)
            assert warned_by_patch == warned
            for ours, theirs in zip(by_patch, by_gufunc, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert done.stdout.strip() == repr(warned)
    assert {"overflow encountered in matmul", "invalid value encountered in matmul"} <= {
        text for texts in warned for text in texts
    }
    preloaded = list(np.load(saved).values())
    for ours, theirs in zip(preloaded, by_gufunc, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_blas
def test_observing_leaves_the_products_where_they_were(profile_of, tmp_path):
    """The results are those of the program alone, bit by bit."""
    code = """
    X = np.tanh(np.linspace(-1, 1, 90000, dtype=np.float32)).reshape(300, 300)
    np.save(sys.argv[1], X @ X.T.copy())
    """
    done, profile = profile_of(code, "--observe", arguments=[str(tmp_path / "observed.npy")])
    assert done.returncode == 0, done.stderr
    assert calls(profile) == 1
    assert not any("had no other BLAS" in note for note in profile["notes"])
    subprocess.run([sys.executable, tmp_path / "program.py", tmp_path / "alone.npy"], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "observed.npy"), np.load(tmp_path / "alone.npy"))


@needs_blas
def test_no_floating_point_flag_is_raised_that_the_product_does_not_raise(profile_of):
    """Padding that is multiplied would: NumPy then warns of an invalid value that is in no operand."""
    code = """
    np.seterr(all="raise")
    for M, N, K in [(3, 5, 7), (17, 33, 64), (129, 130, 131), (257, 300, 513), (1, 300, 300), (300, 1, 300)]:
        X, Y = np.ones((M, K), np.float32), np.ones((K, N), np.float32)
        X @ Y; X @ X.T; X @ Y[:, 0].copy()
    huge = np.full((3, 3), 1e30, np.float32)
    try:
        huge @ huge.T.copy()
    except FloatingPointError as error:
        print(error)
    """
    done, profile = profile_of(code)
    assert done.stdout == "overflow encountered in matmul\n", done.stderr
    assert calls(profile) == 5  # the two with one row or column are sgemv


@needs_blas
def test_scipys_own_blas_is_reached(profile_of):
    pytest.importorskip("scipy", reason="scipy is not installed")
    for options in ((), ("--observe",)):
        done, profile = profile_of("from scipy.linalg.blas import sgemm; print(sgemm(1.0, A, B)[2, 3])", *options)
        assert done.returncode == 0, done.stderr
        assert [(p["family"], p["M"], p["N"], p["K"]) for p in profile["products"]] == [("scipy", 40, 60, 50)]


@needs_blas
def test_more_shapes_than_a_table_holds_are_still_counted(profile_of):
    code = """
    X = np.ones((70, 70), np.float32)
    for m in range(2, 70):
        for n in range(2, 70):
            X[:m, :9] @ X[:9, :n]
    """
    _, profile = profile_of(code)
    # A square product of a matrix with itself is none here: 9 rows are not 9 columns of the same memory.
    assert calls(profile) == 68 * 68
    other = [p for p in profile["products"] if p["M"] is None]
    assert len(other) == 1
    assert sum(p["flops"] for p in profile["products"]) == sum(
        2 * 9 * m * n for m in range(2, 70) for n in range(2, 70)
    )


@needs_blas
def test_threads_and_their_ends_lose_nothing(profile_of):
    code = """
    from concurrent.futures import ThreadPoolExecutor
    import threading
    for _ in range(20):
        threads = [threading.Thread(target=lambda: A @ B) for _ in range(5)]
        [t.start() for t in threads]; [t.join() for t in threads]
    """
    _, profile = profile_of(code)
    assert calls(profile) == 100


@needs_blas
@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_children_are_counted_however_they_end(profile_of, end):
    """A fork, a program it starts, and a program started instead of itself; the parent's counts stay its own."""
    code = f"""
    import subprocess
    A @ B
    if os.fork() == 0:
        A @ B; A @ B
        if os.fork() == 0:
            A @ B
            os._exit(0)
        os.wait()
        {end}
    os.wait()
    subprocess.run([sys.executable, "-c", {PREPARE + "A @ B"!r}], check=True)
    A @ B
    os.execv(sys.executable, [sys.executable, "-c", {PREPARE + "A @ B"!r}])
    """
    done, profile = profile_of(code)
    assert done.returncode == 0, done.stderr
    assert calls(profile) == 1 + 2 + 1 + 1 + 1 + 1
    assert len(profile["processes_with_products"]) == 4
    assert len(profile["processes"]) == 3
    assert "in 4 processes" in done.stderr


# ---- the program's streams, status and signals


def test_streams_and_status_pass_through(profile_of):
    done, profile = profile_of("print(sys.stdin.read()[::-1], sys.argv[1:]); sys.exit(7)", arguments=["--json", "-m"])
    assert done.returncode == 7
    assert profile["returncode"] == 7
    assert done.stdout == " ['--json', '-m']\n"
    done = run("--", "cat", input="over the pipe")
    assert (done.returncode, done.stdout) == (0, "over the pipe")


def test_files_that_were_handed_down_reach_the_program(tmp_path):
    (tmp_path / "file").write_text("read by its number\n")
    with open(tmp_path / "file") as file:
        number = file.fileno()
        done = subprocess.run(
            [*FRUGALBLAS, "run", "--", "cat", f"/proc/self/fd/{number}"],
            pass_fds=[number], capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    assert done.stdout == "read by its number\n"


def test_a_module_and_its_arguments():
    done = run("-m", "json.tool", "--compact", input='{"a": [1, 2]}')
    assert (done.returncode, done.stdout) == (0, '{"a":[1,2]}\n')


@pytest.mark.parametrize("name", ["SIGKILL", "SIGABRT", "SIGTERM", "SIGSEGV"])
def test_a_signal_that_ends_the_program_ends_the_command(profile_of, name):
    number = getattr(signal, name)
    done, profile = profile_of(f"A @ B; os.kill(os.getpid(), {int(number)})")
    assert done.returncode == -number
    assert profile["returncode"] == -number
    assert f"ended by signal {int(number)}" in done.stderr
    assert calls(profile) == numpy_blas_is_reachable()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_to_the_command_reaches_the_program(name, tmp_path):
    code = f"""
import os, signal, sys, time
# os.write: print could be interrupted in its own "ready", and refuses to be entered again.
signal.signal(signal.{name}, lambda *_: (os.write(1, b"got it\\n"), sys.exit(5)))
print("ready", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen(
        [*FRUGALBLAS, "run", "--", sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # no terminal, which would send it to both
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(getattr(signal, name))
    out, err = child.communicate(timeout=TIMEOUT_SECONDS)
    assert (out, child.returncode) == ("got it\n", 5)
    assert "frugalblas run: " in err


# ---- nothing to show


@needs_compiler
def test_a_static_program_is_told(tmp_path):
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text("int main(void) { return 4; }")
    if subprocess.run(["cc", "-static", source, "-o", program], capture_output=True).returncode:
        pytest.skip("no static C library to link with (Debian: libc6-dev)")
    done = run("--", program)
    assert done.returncode == 4
    assert f"the library was not loaded: {program} is statically linked" in done.stderr


@needs_compiler
def test_a_library_that_binds_its_own_names_is_told(tmp_path):
    library, program = tmp_path / "libinner.so", tmp_path / "main"
    (tmp_path / "inner.c").write_text("void sgemm_(void) {}\nvoid multiply(void) { sgemm_(); }\n")
    (tmp_path / "main.c").write_text("void multiply(void);\nint main(void) { multiply(); }\n")
    compile = ["cc", "-O0", "-fPIC"]
    subprocess.run([*compile, "-shared", "-Wl,-Bsymbolic", tmp_path / "inner.c", "-o", library], check=True)
    subprocess.run([*compile, tmp_path / "main.c", library, f"-Wl,-rpath,{tmp_path}", "-o", program], check=True)
    done = run("--", program)
    assert done.returncode == 0
    assert "nothing in this program calls BLAS by a name that can be replaced" in done.stderr
    assert f"{library} (linked with -Bsymbolic: its sgemm_ cannot be replaced)" in done.stderr


@needs_compiler
def test_a_library_that_calls_its_own_name_through_its_table_could_have_made_one(tmp_path):
    """As PyTorch's does, which has MKL inside."""
    library, program = tmp_path / "libinner.so", tmp_path / "main"
    (tmp_path / "inner.c").write_text(
        "void cblas_sgemm_batch(void) {}\nvoid sgemm_(void) {}\nvoid multiply(int n) { if (n) cblas_sgemm_batch(); }\n"
    )
    (tmp_path / "main.c").write_text("void multiply(int);\nint main(void) { multiply(0); }\n")
    compile = ["cc", "-O0", "-fPIC"]
    subprocess.run([*compile, "-shared", tmp_path / "inner.c", "-o", library], check=True)
    subprocess.run([*compile, tmp_path / "main.c", library, f"-Wl,-rpath,{tmp_path}", "-o", program], check=True)
    found = elf.read(library, ("sgemm_", "cblas_sgemm_batch", "cblas_sgemm"))
    assert (found.defines, found.calls) == ({"sgemm_", "cblas_sgemm_batch"}, {"cblas_sgemm_batch"})
    done = run("--", program)
    assert "these could have made one: libinner.so (cblas_sgemm_batch)" in done.stderr


@needs_blas
def test_a_program_that_could_have_is_told_so():
    done = run("--", sys.executable, "-c", "import numpy")
    assert "no float32 product was made; these could have made one: numpy." in done.stderr


def test_a_program_without_matrices_is_told():
    done = run("--", "true")
    assert done.returncode == 0
    assert "nothing in this program calls BLAS by a name that can be replaced" in done.stderr


# ---- refused


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((), 2, "give a script, -m and a module, or -- and a command"),
        (("-m",), 2, "give a script"),
        (("--",), 2, "give a script"),
        (("--", "no-such-program"), 127, "no-such-program: not found"),
        (("--", "/etc/passwd"), 126, "/etc/passwd: Permission denied"),
        (("--json", "/nowhere/p.json", "--", "true"), 2, "'/nowhere/p.json' cannot be written"),
    ],
)
def test_bad_requests(words, status, message):
    done = run(*words)
    assert done.returncode == status
    assert message in done.stderr
    assert done.stdout == ""


def test_platforms_that_cannot_preload_are_refused():
    with pytest.raises(libraries.Refused, match="macOS"):
        libraries.refuse_platform("darwin")
    with pytest.raises(libraries.Refused, match="musl"):
        libraries.refuse_platform("linux", "")
    with pytest.raises(libraries.Refused, match="space or a colon"):
        libraries.preload_value(Path("/opt/my libs/x.so"), None)
    assert libraries.preload_value(Path("/a.so"), "/b.so") == "/a.so:/b.so"


def test_a_musl_program_is_refused(tmp_path):
    """The ELF header of a program with musl's loader, as Alpine Linux has them."""
    interpreter = b"/lib/ld-musl-x86_64.so.1\0"
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    segment = struct.pack("<IIQQQQQQ", elf.PT_INTERP, 4, 120, 0, 0, len(interpreter), len(interpreter), 1)
    program = tmp_path / "program"
    program.write_bytes(header + segment + interpreter)
    program.chmod(0o755)
    done = run("--", program)
    assert done.returncode == 2
    assert f"{program} runs on musl (/lib/ld-musl-x86_64.so.1)" in done.stderr


# ---- energy, of a simulated machine


def test_joules_are_labelled_as_the_whole_machines(tmp_path):
    zone = tmp_path / "class" / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, value in [("name", "package-0"), ("energy_uj", "1000000"), ("max_energy_range_uj", "262143328850")]:
        (zone / name).write_text(value + "\n")
    counter, file = zone / "energy_uj", tmp_path / "profile.json"
    code = f"""
import time
for joules in range(2, 12):
    open({str(counter)!r}, "w").write(f"{{joules}}000000\\n")
    time.sleep(0.05)
"""
    done = run("--sysfs-root", tmp_path, "--scope", "cpu", "--json", file, "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    energy = json.loads(file.read_text())["energy"]
    assert energy["label"] == "of the whole machine during the run, not of the products alone"
    assert energy["label"] in done.stderr
    assert energy["reading"]["gross"]["value"] == pytest.approx(10.0)


def test_without_counters_it_says_why(tmp_path):
    done = run("--sysfs-root", tmp_path, "--", "true")
    assert "no joules: " in done.stderr


# ---- the command itself


def installed_command():
    path = Path(sys.executable).parent / "frugalblas"
    if not path.exists():
        pytest.skip("the command is not installed beside this Python: a copy of the package is being tested")
    return path


@pytest.mark.parametrize("words", [["run", "--help"], ["preload"], ["config"], ["--help"], ["run", "--", "true"]])
def test_these_commands_import_no_numpy(words):
    command = installed_command()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", command, *words], capture_output=True, text=True, check=True
    )
    assert "frugalblas" in done.stderr
    assert "numpy" not in done.stderr


def test_a_program_waits_for_no_large_module():
    """What the command has loaded when its program starts: argparse and its like take longer than all the rest."""
    pytest.importorskip("_frugalblas_command", reason="the command is not installed: a copy of the package is tested")
    code = """
    import os, sys
    large = {"argparse", "subprocess", "tempfile", "json", "typing", "numpy", "frugalblas.energy"} - {*sys.modules}
    import _frugalblas_command
    def spawn(*words, **options):
        print(*sorted(large & {*sys.modules}), flush=True)
        os._exit(0)
    os.posix_spawnp = spawn
    sys.argv = ["frugalblas", "run", "--json", os.devnull, "script.py"]
    _frugalblas_command.main()
    """
    assert output_of(code) == ""


@pytest.mark.parametrize(
    "words",
    [
        ["a.py"],
        ["a.py", "--json", "x", "-m"],
        ["--observe", "a.py", "--observe"],
        ["--json", "f", "a.py"],
        ["--json=f", "--scope=cpu", "--sysfs-root=/s", "a.py", "b"],
        ["--scope", "gpu", "--sysfs-root", "/s", "--observe", "-m", "pkg", "--json", "x"],
        ["-m", "pkg"],
        ["-m"],
        ["--", "true", "-x"],
        ["--observe", "--", "sh", "-c", "exit 3"],
        ["--json=", "a.py"],
    ],
    ids=" ".join,
)
def test_options_are_understood_without_argparse_as_with_it(words):
    ours, theirs = run_cli.plain_options(words), cli.parser().parse_args(["run", *words])
    for name in ("observe", "json", "scope", "sysfs_root", "module"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert run_cli._command(ours) == run_cli._command(theirs)


@pytest.mark.parametrize(
    "words",
    [[], ["-h"], ["--jso", "f", "a.py"], ["--scope", "moon", "a.py"], ["--json"], ["--observe=1", "a.py"], ["-x"]],
    ids=" ".join,
)
def test_what_is_unusual_is_left_to_argparse(words):
    assert run_cli.plain_options(words) is None


def test_the_scratch_folder_is_private_and_where_it_should_be(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    folder = Path(command._scratch_folder())
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "mkdir", lambda *_: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(libraries.Refused, match="TMPDIR"):
        command._scratch_folder()


def test_other_commands_have_the_whole_package():
    done = subprocess.run([installed_command(), "algorithms"], capture_output=True, text=True, check=True)
    assert "blocked" in done.stdout


def test_preload_prints_the_path():
    done = subprocess.run([*FRUGALBLAS, "preload"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).name == "libfrugalblas_blas.so"
    assert Path(done.stdout.strip()).is_file()


def test_every_folder_of_config_exists(capsys):
    assert cli.main(["config", "--includedir"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "frugalblas.h").is_file()
    assert cli.main(["config", "--pkgconfigdir", "--cmakedir"]) == 0
    pkgconfig, cmake = capsys.readouterr().out.split()
    assert (Path(pkgconfig) / "frugalblas.pc").is_file()
    assert (Path(cmake) / "frugalblas-config.cmake").is_file()
    assert cli.main(["config"]) == 0
    assert "cflags: -I" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "module", "family"),
    [
        ("/v/site-packages/numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so",
         "numpy._core._multiarray_umath", "numpy"),
        ("/v/site-packages/torch/lib/libtorch_cpu.so", "torch.lib.libtorch_cpu", "torch"),
        ("/usr/lib/python3/dist-packages/scipy/linalg/_fblas.abi3.so", "scipy.linalg._fblas", "scipy"),
        ("/usr/lib/x86_64-linux-gnu/liboctinterp.so.10", "liboctinterp.so.10", "liboctinterp.so.10"),
        ("/usr/lib/R/modules/lapack.so", "lapack.so", "lapack.so"),
        ("", "unknown", "unknown"),
    ],
)  # fmt: skip
def test_families(path, module, family):
    assert families.module(path) == module
    assert families.family(path) == family


def test_a_table_that_is_cut_short_counts_for_what_it_holds(tmp_path):
    (tmp_path / "1-2.table").write_bytes(b"FB")
    (tmp_path / "1-3.table").write_bytes(records.HEADER.pack(records.MAGIC, 88, 2048, 16320, 1, 0, 0, 0))
    (tmp_path / "1-4.process").write_text("program /bin/x\nloaded")
    read = records.read(tmp_path)
    assert read.products == []
    assert [process.program for process in read.processes] == ["/bin/x"]


# ---- libblas.so.3


@needs_compiler
def test_a_provider_has_our_names_and_the_rest_of_another(tmp_path):
    """A program finds our names first, and the other library's for what we lack."""
    rest = tmp_path / "librest.so"
    (tmp_path / "rest.c").write_text("".join(f"int {name}(void) {{ return 41; }}\n" for name in provider.NEEDED))
    subprocess.run(["cc", "-shared", "-fPIC", tmp_path / "rest.c", "-o", rest], check=True)
    done = subprocess.run(
        [*FRUGALBLAS, "blas-provider", "--rest", rest, "--install", tmp_path / "made"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "update-alternatives --install /usr/lib/" in done.stdout
    library = tmp_path / "made" / "libblas.so.3"
    code = f"""
import ctypes
blas = ctypes.CDLL({str(library)!r})
C, two, f = (ctypes.c_float * 1)(), (ctypes.c_float * 1)(2), ctypes.c_float
blas.cblas_sgemm(101, 111, 111, 1, 1, 1, f(1), two, 1, two, 1, f(0), C, 1)
print(C[0], blas.dgemm_(), blas.cblas_dgemm())
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "4.0 41 41\n"
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"libblas.so.3", "libfrugalblas.so"}


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("/etc/passwd", "is not a 64-bit shared library"),
        ("/nowhere", "is not a 64-bit shared library"),
        (str(libraries.folder() / libraries.CORE), "lacks dgemm_, sgemm_"),
    ],
)
def test_a_provider_without_the_rest_is_refused(rest, message, capsys, tmp_path):
    assert cli.main(["blas-provider", "--rest", rest, "--install", str(tmp_path / "made")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_path_too_long_for_the_entry_is_refused():
    template = (libraries.folder() / libraries.PROVIDER).read_bytes()
    with pytest.raises(libraries.Refused, match="there is room for"):
        provider.with_rest(template, Path("/" + "x" * 300))
    assert len(provider.with_rest(template, Path("/x"))) == len(template)


# ---- unmodified programs


@needs_blas
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package", "family"),
    [
        ("sklearn_pca.py", "sklearn", "numpy"),
        ("torch_mlp.py", "torch", "torch"),
        ("torch_attention.py", "torch", "torch"),
    ],
)
def test_unmodified_programs_show_their_profile(name, package, family, tmp_path):
    pytest.importorskip(package, reason=f"{package} is not installed")
    script = ROOT / "docs" / "examples" / name
    if not script.exists():
        pytest.skip("docs/ is not here: an installed package is being tested")
    done = run("--json", tmp_path / "profile.json", script)
    assert done.returncode == 0, done.stderr
    products = json.loads((tmp_path / "profile.json").read_text())["products"]
    assert sum(p["calls"] for p in products if p["family"] == family) >= 20
    assert family in done.stderr
