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


_working: list[tuple[ModuleType, dict[str, Any]]] = []  # the extension, and what it said when all was well


def status(cuda: ModuleType) -> dict[str, Any]:
    """What the CUDA runtime says of driver and devices. Asked once if they work: it takes longer than a product."""
    if not (_working and _working[0][0] is cuda):
        said: dict[str, Any] = cuda.status()
        if said["error"] or not said["devices"]:
            return said  # asked again next time: a driver may have been installed meanwhile
        _working[:] = [(cuda, said)]
    return _working[0][1]


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
    said = status(cuda)
    # The runtime calls a missing driver insufficient too; only the version tells the two apart.
    if said["driver"] == 0:
        return "no NVIDIA driver (libcuda.so.1) was found; install the driver of this machine's GPU"
    if said["error"] == INSUFFICIENT_DRIVER:
        needed = said["runtime"]
        return (
            f"the NVIDIA driver supports CUDA {_version(said['driver'])}, this build needs {_version(needed)} "
            f"(driver {DRIVER_OF.get(needed // 1000, '?')} or newer); update the driver, or build with an older CUDA"
        )
    if said["error"] == NO_DEVICE or (said["error"] == 0 and not said["devices"]):
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        what = f"CUDA_VISIBLE_DEVICES is {hidden!r}; " if hidden is not None else ""
        return f"no GPU is visible to this process; {what}check that nvidia-smi lists one"
    if said["error"]:
        return f"the CUDA runtime said: {said['message']} (error {said['error']})"
    if not any(runs_on(cuda, device["capability"]) for device in said["devices"]):
        return _no_code(cuda, said["devices"])
    return None


def _no_code(cuda: ModuleType, devices: list[dict[str, Any]]) -> str:
    found = ", ".join(f"{d['name']} ({_capability(d['capability'])})" for d in devices)
    return (
        f"this build has code for compute capability {', '.join(map(_capability, cuda.architectures))}, and the "
        f"GPU is {found}; rebuild with -Ccmake.define.CMAKE_CUDA_ARCHITECTURES for it"
    )


def runs_on(cuda: ModuleType, capability: int) -> bool:
    """Whether the build has code for a GPU: of its generation and not newer, or PTX that the driver can translate."""
    native = any(a <= capability and a // 10 == capability // 10 for a in cuda.architectures)
    return native or any(a <= capability for a in cuda.ptx_architectures)


def unavailable(name: str, precision: str | None = None, device: int | None = None) -> str | None:
    """Why the rung `name` cannot run here, and the fix; None if it can: in `precision`, on `device`, if given."""
    cuda = module()
    reason = no_gpu(cuda)
    if reason is not None or cuda is None:
        return reason
    if name == "cublas":
        reason = cublas.load(cuda)
        if reason is not None:
            return reason
    devices = status(cuda)["devices"]
    if device is not None and device < len(devices):
        devices = devices[device : device + 1]
        if not runs_on(cuda, devices[0]["capability"]):
            return _no_code(cuda, devices)
    best = max(found["capability"] for found in devices)
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
        said = status(cuda)
        found["architectures"] = [_capability(a) for a in cuda.architectures]
        found["ptx"] = [_capability(a) for a in cuda.ptx_architectures]
        found["runtime"] = _version(said["runtime"])
        found["driver"] = _version(said["driver"]) if said["driver"] else None
        path, version = cuda.cublas()
        found["cublas"] = {"path": path or None, "version": version or None}
        found["devices"] = [{**d, "capability": _capability(d["capability"])} for d in said["devices"]]
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
