"""What frugalblas found on this machine, and what it keeps of it between calls."""

import platform
import sys
from importlib.metadata import version
from typing import Any

import numpy as np

from . import _core, gpu
from .threads import get_num_threads


def info() -> dict[str, Any]:
    """CPU, caches, instruction sets, thread default, build and OpenBLAS, as a dict that JSON can hold.

    Keys: "version"; "cpu" with "model", "level" (best instruction set level it supports), "levels" (all of them),
    "tuning" (whose cores kernels are chosen for), "cpus" (usable by this process) and "cache_bytes"; "variant", the
    build that calls use by default; "threads", the current default; "build" with "compiler", "commit" and the flags
    of each variant; "openblas" with its "path" and "config", or the "reason" why there is none; "cuda" with the
    "reason" why no GPU can be used (None if one can), and in a build with CUDA its "architectures", "ptx", "runtime",
    "driver", "devices" and "cublas"; "python", "numpy" and "platform".
    """
    variants = _core.variants()
    levels = [v["name"] for v in variants if v["runs_here"] and not v["study"]]
    return {
        "version": version("frugalblas"),
        "cpu": {**_core.cpu(), "level": levels[-1], "levels": levels},
        "variant": _core.default_variant,
        "threads": get_num_threads(),
        "build": {
            "compiler": _core.compiler,
            "commit": _core.commit or None,
            "variants": {v["name"]: v["flags"] for v in variants if v["runs_here"]},
        },
        "openblas": _core.openblas(),
        "cuda": gpu.info(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def free_workspace() -> None:
    """Returns what is kept for the calls that follow: this thread's scratch memory, pinned memory, memory of the GPUs.

    What a call of another thread is using stays.
    """
    _core.free_workspace()
    cuda = sys.modules.get("frugalblas._cuda")  # not loaded: nothing is kept there
    if cuda is not None:
        cuda.free_workspace()
