"""A copy of the source tree that a test may change, build and import, apart from the installed package."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("CMakeLists.txt", "pyproject.toml", "cpp", "cuda", "include", "src")

# An editable install finds its package by an import hook, which goes before PYTHONPATH. A sitecustomize.py runs later.
SITECUSTOMIZE = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]
"""


def bench_gpu(name: str) -> ModuleType:
    """A module of bench/gpu, whose programs find each other in their folder."""
    folder = str(ROOT / "bench" / "gpu")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def missing() -> str | None:
    """Why no copy can be built here; None if one can."""
    absent = [name for name in SOURCES if not (ROOT / name).exists()]
    if absent:
        return f"the source is not here (no {', '.join(absent)} beside tests/): an installed package is being tested"
    for name in ("cmake", "ninja"):
        if tool(name) is None:
            return f"{name} is not installed; it comes with: pip install 'frugalblas[test]'"
    if importlib.util.find_spec("pybind11") is None:
        return "pybind11 is not installed; it comes with: pip install 'frugalblas[test]'"
    return None


def tool(name: str) -> str | None:
    """A program of the environment that runs the tests, else of PATH, where an older one may be."""
    beside_python = Path(sys.executable).parent / name
    return str(beside_python) if beside_python.exists() else shutil.which(name)


class Tree:
    def __init__(self, folder: Path) -> None:
        self.source, self.package = folder / "source", folder / "package"
        self.build = self.source / "build" / "tree"
        self.source.mkdir(parents=True)
        for name in SOURCES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.source / name)

    def configure(self, **options: object) -> None:
        """Options as CMake has them, FRUGALBLAS_STUDY="OFF" for example."""
        import pybind11

        run(
            [
                *(tool("cmake"), "-S", self.source, "-B", self.build, "-G", "Ninja"),
                f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
                "-DFRUGALBLAS_CUDA=OFF",  # no test of a copy is about it, and it takes long
                *(f"-D{name}={value}" for name, value in options.items()),
            ],
            self.source,
        )

    def compile(self, *targets: str) -> None:
        run([tool("cmake"), "--build", self.build, *(["--target", *targets] if targets else [])], self.source)

    def assemble(self) -> dict[str, str]:
        """Makes an importable package of what was built; the environment variables with which Python finds it."""
        destination = self.package / "frugalblas"
        shutil.rmtree(self.package, ignore_errors=True)
        shutil.copytree(self.source / "src" / "frugalblas", destination)
        for library in [*self.build.glob("_core*.so"), *self.build.glob("libfrugalblas*.so")]:
            shutil.copy2(library, destination)
        shutil.copytree(self.build / "blas_provider", destination / "blas_provider")
        # Built in place, the extension looks for the library in the build folder, where the same file lies.
        (self.package / "sitecustomize.py").write_text(SITECUSTOMIZE)
        return {"PYTHONPATH": os.pathsep.join(filter(None, [str(self.package), os.environ.get("PYTHONPATH", "")]))}


class BuildError(Exception):
    pass


def run(command: list[object], source: Path | None = None) -> str:
    """What a command prints. A ccache in use takes paths below `source` as relative: a copy finds the same objects."""
    environment = {**os.environ, **({"CCACHE_BASEDIR": str(source)} if source else {})}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(f"{command[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout
