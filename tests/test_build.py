"""What keeps a library of many builds of the same code sound: names, merged functions, initialisers, one list."""

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from children import output_of
from tree import ROOT, Tree, missing, run, tool

import frugalblas

INSTALLED = Path(frugalblas._core.__file__).parent
needs_nm = pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed (Debian: binutils)")
needs_source = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def symbols(file: Path, *options: str) -> list[tuple[str, str]]:
    """(type, name) of the defined symbols, demangled."""
    lines = run(["nm", "-C", "--defined-only", "--format=posix", *options, file]).splitlines()
    # "name type value size", where a demangled name has spaces of its own.
    return [(m[2], m[1]) for m in (re.match(r"(.*) ([A-Za-z]) [0-9a-f]+", line) for line in lines) if m]


# ---- the installed libraries -----------------------------------------------------------------------------------------


@needs_nm
def test_libfrugalblas_exports_only_its_own_names():
    exports = [name for _, name in symbols(INSTALLED / "libfrugalblas.so", "--dynamic")]
    assert "frugalblas_run" in exports
    assert [name for name in exports if not name.startswith("frugalblas_")] == []


@needs_nm
def test_the_extension_exports_no_code_but_its_entry_point():
    """Besides it only what every C++ library has: weak copies of the standard library's and pybind11's templates."""
    exports = symbols(Path(frugalblas._core.__file__), "--dynamic")
    assert [name for kind, name in exports if kind not in "WVu"] == ["PyInit__core"]
    assert [name for _, name in exports if "fb::" in name or "gemm" in name] == []


# ---- the objects of the variants -------------------------------------------------------------------------------------


def foreign(file: Path, space: str) -> list[str]:
    """Symbols of an object that the linker could merge with, or take for, another variant's: global or weak ones
    outside the variant's namespace. A function that two variants share is compiled for the newer CPU in one of them."""
    own = re.compile(rf"(?:(?:typeinfo|vtable|guard variable) (?:name )?for )?(?:.* )?fb::{space}::")
    # DW.ref.X is where exception tables find X: an address, the same in every object.
    return [name for _, name in symbols(file, "--extern-only") if not own.match(name) and "DW.ref." not in name]


def initialisers(file: Path) -> list[str]:
    """Sections with code that would run at import, on a CPU that may not have the instructions."""
    return re.findall(r"\.(?:init_array|ctors|preinit_array)\S*", run(["readelf", "--sections", "--wide", file]))


def objects(tree: Tree, space: str) -> list[Path]:
    return sorted(tree.build.glob(f"CMakeFiles/fb_{space}_*.dir/**/*.o"))


def spaces(tree: Tree) -> list[str]:
    return re.findall(r"^VARIANT\((\w+),", (tree.build / "variants.def").read_text(), re.MULTILINE)


# The sources of a new algorithm are a known one's under another name.
MODEL, NEW = "accumulate", "example"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the source with one algorithm more: one new file and one new line."""
    if missing() is not None:
        pytest.skip(missing())
    tree = Tree(tmp_path_factory.mktemp("tree"))
    model = (tree.source / "cpp" / "kernels" / f"{MODEL}.cpp").read_text()
    (tree.source / "cpp" / "kernels" / f"{NEW}.cpp").write_text(re.sub(rf"\b{MODEL}\b", NEW, model))
    with open(tree.source / "cpp" / "algorithms.def", "a") as algorithms:
        algorithms.write(f"SCALAR({NEW})\n")
    tree.configure(FRUGALBLAS_STUDY="ON")
    return tree


@needs_nm
@pytest.mark.slow
def test_no_variant_shares_code_or_runs_it_at_import(tree):
    levels = [v["name"] for v in frugalblas._core.variants() if not v["study"]]
    # Every level, and the variant in which the compiler inlines nothing, so that each shared function becomes a symbol.
    for space in [*levels, "O0"]:
        assert space in spaces(tree)
        tree.compile(
            *(f"fb_{space}_{kind}" for kind in ("SCALAR", "VECTOR", "TEAM") if (space, kind) != ("O0", "TEAM"))
        )
        assert f"{NEW}.cpp.o" in {file.name for file in objects(tree, space)}
        for file in objects(tree, space):
            assert foreign(file, space) == [], file.name
            assert initialisers(file) == [], file.name


def compile_alone(tree, text, change):
    """The -O0 object of the model kernel after a change to it."""
    kernel = tree.source / "cpp" / "kernels" / f"{MODEL}.cpp"
    before = kernel.read_text()
    assert before.count(text) == 1
    kernel.write_text(before.replace(text, change))
    try:
        target = f"CMakeFiles/fb_O0_SCALAR.dir/cpp/kernels/{MODEL}.cpp.o"
        tree.compile(target)
        return tree.build / target
    finally:
        kernel.write_text(before)


SHARED_FUNCTION = "namespace fb {\ninline int shared_helper(int x) { return 3 * x; }\n}\n"
SUM = "float sum = 0;"


@needs_nm
@pytest.mark.parametrize(
    ("prefix", "start", "name"),
    [
        (SHARED_FUNCTION, "float sum = shared_helper(0);", "fb::shared_helper(int)"),
        ("#include <algorithm>\n", "float sum = std::max(g.beta, g.beta) * 0;", "float const& std::max<float>"),
        ("namespace fb {\ninline float shared_zero = 0;\n}\n", "float sum = shared_zero;", "fb::shared_zero"),
    ],
    ids=["inline function", "std::max", "inline variable"],
)
def test_shared_code_would_be_seen(tree, prefix, start, name):
    include = '#include "../algorithm.hpp"\n'
    kernel = (tree.source / "cpp" / "kernels" / f"{MODEL}.cpp").read_text()
    changed = kernel.replace(include, include + prefix).replace(SUM, start)
    found = foreign(compile_alone(tree, kernel, changed), "O0")
    assert [symbol for symbol in found if symbol.startswith(name)] == found != []


@needs_nm
def test_an_initialiser_would_be_seen(tree):
    code = "extern int elsewhere;\nstatic const int started = elsewhere;\n"
    marker = "static void run(const Gemm& g) {\n"
    file = compile_alone(tree, marker, code + marker + "  (void)started;\n")
    assert initialisers(file) != []


# ---- adding an algorithm ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_new_algorithm_is_one_file_and_one_line(tree):
    tree.configure(FRUGALBLAS_STUDY="OFF")
    tree.compile()
    code = f"""
    import numpy as np, frugalblas
    A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    assert (frugalblas.sgemm(A, B, algo="{NEW}", threads=2) == 4).all()
    rungs = {{rung.name: rung for rung in frugalblas.algorithms()}}
    assert rungs["{NEW}"].variants == rungs["{MODEL}"].variants != ()
    for variant in rungs["{NEW}"].variants:
        assert (frugalblas.sgemm(A, B, algo=f"{NEW}@{{variant}}") == 4).all()
    try:
        frugalblas.sgemm(A, B, algo="{NEW}s")
    except ValueError as error:
        assert "Did you mean '{NEW}'?" in str(error), error
    print([*rungs][-1], frugalblas.explain(A, B, algo="{NEW}")["algo"])
    """
    assert output_of(code, **tree.assemble()) == f"{NEW} {NEW}"


@needs_source
def test_file_stems_are_the_names_of_the_registry():
    kinds = {rung.name: rung.kind for rung in frugalblas.algorithms()}

    def stems(folder):
        return {file.stem for file in (ROOT / "cpp" / folder).glob("*.cpp")}

    assert stems("kernels") == {name for name, kind in kinds.items() if kind in ("scalar", "vector", "team")}
    assert stems("passthrough") == {name for name, kind in kinds.items() if kind == "passthrough"}


@needs_source
def test_flags_are_combined_for_the_rungs_whose_line_says_so():
    course = ["O0", "O1", "O2", "O3", "O3_fastmath", "O3_native", "O3_native_fastmath_unroll"]
    rungs = {rung.name: rung for rung in frugalblas.algorithms()}
    if not any(variant in rungs["naive"].variants for variant in course):
        pytest.skip("built without the compiler-flag study")
    combined = {
        f"O3{native}{fast}{unroll}"
        for native in ("", "_native")
        for fast in ("", "_fastmath")
        for unroll in ("", "_unroll")
    }
    lines = (ROOT / "cpp" / "algorithms.def").read_text().splitlines()
    marked = {line.split("(")[1].split(")")[0] for line in lines if line.endswith("// every combination of flags")}
    assert {rungs[name].course for name in marked} == {"v3", "v4"}
    for name, rung in rungs.items():
        if rung.kind in ("scalar", "vector"):
            flags = [variant for variant in rung.variants if variant.startswith("O")]
            assert set(flags) == {*course, *(combined if name in marked else ())}
            assert [variant for variant in flags if variant in course] == course


def test_every_interpreted_rung_is_a_function_of_its_name():
    from frugalblas import baselines

    names = {rung.name for rung in frugalblas.algorithms() if rung.kind == "interpreted"}
    assert set(baselines.functions(RuntimeError)) == names


@needs_source
def test_an_unknown_level_stops_the_build(tmp_path):
    tree = Tree(tmp_path)
    done = subprocess.run(
        [tool("cmake"), "-S", tree.source, "-B", tree.build, "-DFRUGALBLAS_LEVELS=v9", "-DFRUGALBLAS_PYTHON=OFF"],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "FRUGALBLAS_LEVELS has 'v9'" in done.stderr


@needs_source
def test_headers_are_those_of_the_numpy_that_will_import_it(tmp_path):
    """Debian's python3-numpy puts those of its own version into Python's folder."""
    tree = Tree(tmp_path)
    tree.configure(CMAKE_EXPORT_COMPILE_COMMANDS="ON", FRUGALBLAS_STUDY="OFF")
    commands = json.loads((tree.build / "compile_commands.json").read_text())
    folders = [re.findall(r"-(?:I|isystem) ?(\S+)", c["command"]) for c in commands if "matmul_ufunc" in c["file"]]
    assert [np.get_include()] == [folder[0] for folder in folders]
    assert sysconfig.get_path("include") in folders[0]
