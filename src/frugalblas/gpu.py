"""The CUDA rungs from Python: whether they can run here, and if not, why and what to do about it.

Importing this touches no GPU. The extension `_cuda` (absent in a build without CUDA) is loaded when somebody asks.
"""

import functools
import importlib
import os
from types import ModuleType
from typing import Any

from . import _core, cublas

NO_DEVICE, INSUFFICIENT_DRIVER = 100, 35  # cudaErrorNoDevice, cudaErrorInsufficientDriver
# The lowest compute capability that a precision needs on tensor cores; 7.5, the oldest that CUDA 13 knows, for others.
NEEDS_CAPABILITY = {"tf32": 80, "bf16": 80}
DRIVER_OF = {12: 525, 13: 580}  # CUDA's release notes: the first driver of a major version


@functools.cache
def module() -> ModuleType | None:
    """The extension `_cuda`; None in a build without CUDA."""
    try:
        return importlib.import_module("frugalblas._cuda")
    except ModuleNotFoundError:
        return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _capability(number: int) -> str:
    return f"{number // 10}.{number % 10}"


def no_gpu(cuda: ModuleType | None) -> str | None:
    """Why no GPU can be used here, and the fix; None if one can."""
    if cuda is None:
        return (
            "built without CUDA; rebuild where nvcc is on PATH: "
            "pip install --no-binary frugalblas -Ccmake.define.FRUGALBLAS_CUDA=ON frugalblas"
        )
    status = cuda.status()
    # The runtime calls a missing driver insufficient too; only the version tells the two apart.
    if status["driver"] == 0:
        return "no NVIDIA driver (libcuda.so.1) was found; install the driver of this machine's GPU"
    if status["error"] == INSUFFICIENT_DRIVER:
        needed = status["runtime"]
        return (
            f"the NVIDIA driver supports CUDA {_version(status['driver'])}, this build needs {_version(needed)} "
            f"(driver {DRIVER_OF.get(needed // 1000, '?')} or newer); update the driver, or build with an older CUDA"
        )
    if status["error"] == NO_DEVICE or (status["error"] == 0 and not status["devices"]):
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        what = f"CUDA_VISIBLE_DEVICES is {hidden!r}; " if hidden is not None else ""
        return f"no GPU is visible to this process; {what}check that nvidia-smi lists one"
    if status["error"]:
        return f"the CUDA runtime said: {status['message']} (error {status['error']})"
    if not any(runs_on(cuda, device["capability"]) for device in status["devices"]):
        found = ", ".join(f"{d['name']} ({_capability(d['capability'])})" for d in status["devices"])
        return (
            f"this build has code for compute capability {', '.join(map(_capability, cuda.architectures))}, and the "
            f"GPU is {found}; rebuild with -Ccmake.define.CMAKE_CUDA_ARCHITECTURES for it"
        )
    return None


def runs_on(cuda: ModuleType, capability: int) -> bool:
    """Whether the build has code for a GPU: of its generation and not newer, or PTX that the driver can translate."""
    native = any(a <= capability and a // 10 == capability // 10 for a in cuda.architectures)
    return native or any(a <= capability for a in cuda.ptx_architectures)


def unavailable(name: str, precision: str | None = None) -> str | None:
    """Why the rung `name` cannot run here (in `precision`, if given), and the fix; None if it can."""
    cuda = module()
    reason = no_gpu(cuda)
    if reason is not None or cuda is None:
        return reason
    if name == "cublas":
        reason = cublas.load(cuda)
        if reason is not None:
            return reason
    best = max(device["capability"] for device in cuda.status()["devices"])
    needed = NEEDS_CAPABILITY.get(precision or "", 0)
    if best < needed:
        return (
            f"precision={precision!r} needs compute capability {_capability(needed)}, this GPU has "
            f"{_capability(best)}; use precision='fp16', or 'cuda_tiled' in fp32"
        )
    return None


def info() -> dict[str, Any]:
    """What `frugalblas.info()` says of GPUs: build architectures, driver, devices, cuBLAS; why there are none."""
    cuda = module()
    unavailable("cublas")  # finds and opens the library, if a GPU is there to use it
    found: dict[str, Any] = {"reason": no_gpu(cuda)}
    if cuda is not None:
        status = cuda.status()
        found["architectures"] = [_capability(a) for a in cuda.architectures]
        found["ptx"] = [_capability(a) for a in cuda.ptx_architectures]
        found["runtime"] = _version(status["runtime"])
        found["driver"] = _version(status["driver"]) if status["driver"] else None
        path, version = cuda.cublas()
        found["cublas"] = {"path": path or None, "version": version or None}
        found["devices"] = [{**d, "capability": _capability(d["capability"])} for d in status["devices"]]
    return found


def calls(unavailable_error: type[Exception]) -> dict[str, Any]:
    """What `_core` calls for a CUDA rung or an array on a GPU: functions with the arguments of `sgemm`."""
    names = {e["name"]: e for e in _core.entries() if e["kind"].startswith("cuda")}

    def check(A: Any, B: Any, algo: str, precision: Any) -> str:
        """The rung that is meant; raises if it cannot run here, before anything else is looked at."""
        name = "cuda_tiled" if algo == "auto" else algo
        if name not in names:
            raise TypeError(
                f"algo is {algo!r}, which computes on the CPU, but A or B is in a GPU's memory; copy it first"
            )
        reason = unavailable(name, precision if isinstance(precision, str) else None)
        if reason is not None:
            raise unavailable_error(f"{name!r} cannot run here: {reason}")
        offered = names[name]["precisions"].split()
        if precision not in offered:
            raise ValueError(f"precision is {precision!r}; {name!r} offers {', '.join(map(repr, offered))}")
        return name

    def sgemm(A: Any, B: Any, *, algo: str = "auto", precision: Any = "fp32", **rest: Any) -> Any:
        from .gpu_call import multiply

        return multiply(check(A, B, algo, precision), A, B, precision=precision, **rest)

    def explain(A: Any, B: Any, *, algo: str = "auto", precision: Any = "fp32", **rest: Any) -> Any:
        from .gpu_call import describe

        return describe(check(A, B, algo, precision), A, B, asked=algo, **rest)

    return {"sgemm": sgemm, "explain": explain}
