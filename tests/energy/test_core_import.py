"""Importing the energy code does nothing, and the energy code knows nothing of the kernels."""

import ast
import subprocess
import sys
from pathlib import Path

import frugalblas.energy

IMPORT = """
import os, sys, threading
import frugalblas
before, seen = dict(os.environ), []
def watch(event, args):
    if event in ("open", "os.listdir", "os.scandir") and str(args[0]).startswith(("/sys", "/proc")):
        seen.append((event, args[0]))
    if event.startswith(("socket.", "subprocess.", "ctypes.dlopen")):
        seen.append((event, args))
sys.addaudithook(watch)
import frugalblas.energy, frugalblas.energy.testing
assert not seen, seen
assert threading.active_count() == 1
assert not {"pynvml", "amdsmi"} & set(sys.modules)
assert dict(os.environ) == before
"""


def test_importing_reads_loads_starts_and_prints_nothing():
    result = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_energy_code_imports_no_kernel():
    """Of the rest of the package only the one system call, where it is needed, and how a program is started."""
    package = Path(frugalblas.energy.__file__).parent
    found = {}
    for path in package.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        outside = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level > 1]
        absolute = [
            n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("frugalblas")
        ]
        plain = [
            a for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names if a.name.startswith("frugalblas")
        ]
        if outside or absolute or plain:
            found[path.name] = [alias.name for node in outside + absolute for alias in node.names] + plain
    assert found == {"command.py": ["Child", "CommandError", "exit_status"]}


def test_everything_public_is_there():
    assert set(frugalblas.energy.__all__) == {
        name for name in frugalblas.energy.__all__ if getattr(frugalblas.energy, name, None) is not None
    }


def test_the_package_loads_it_on_first_use():
    code = (
        "import sys, frugalblas\n"
        "assert 'frugalblas.energy' not in sys.modules\n"
        "assert frugalblas.energy.Meter\n"
        "assert not hasattr(frugalblas, 'nothing_of_this_name')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
