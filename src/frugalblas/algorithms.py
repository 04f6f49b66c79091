"""The algorithms of this build and machine, read from the compiled registry (cpp/algorithms.def)."""

import difflib
from dataclasses import dataclass
from typing import NoReturn

from . import _core, baselines, gpu


class AlgorithmUnavailable(RuntimeError):
    """The algorithm exists but cannot run here; the message gives the reason and the fix."""


@dataclass(frozen=True)
class Algorithm:
    """One rung of the ladder, as `algorithms` lists it."""

    name: str
    """What `algo=` calls it."""
    summary: str
    """The idea, in one line."""
    course: str
    """Its name in the "Frugal AI" course: "Python", "v1" to "v6", "OpenMP", "GPU", "tensor cores" or "reference"."""
    kind: str
    """"interpreted", "scalar", "vector", "team" (threads that cooperate), "passthrough", "cuda" or "cuda library"."""
    device: str
    """Where it computes: "cpu" or "cuda"."""
    precisions: tuple[str, ...]
    """What `precision=` may be."""
    variants: tuple[str, ...]
    """Builds of it that run on this CPU, for `algo="name@variant"`; empty if there is only one."""
    available: bool
    """Whether it can run here."""
    reason: str | None
    """If not, why, and what to do about it."""

    @property
    def threaded(self) -> bool:
        """Whether it can use more than one thread."""
        return self.kind != "interpreted" and self.device == "cpu"


def algorithms() -> list[Algorithm]:
    """All algorithms of this build in the order of the course, the ones that cannot run here included."""
    found = []
    for entry in _core.entries():
        card = baselines.card(entry["name"]) if entry["kind"] == "interpreted" else entry
        on_gpu = entry["kind"].startswith("cuda")
        reason = gpu.unavailable(entry["name"]) if on_gpu else card["reason"]
        found.append(
            Algorithm(
                name=entry["name"],
                summary=card["summary"],
                course=card["course"],
                kind=entry["kind"],
                device="cuda" if on_gpu else "cpu",
                precisions=tuple(entry.get("precisions", "fp32").split()),
                variants=tuple(entry["variants"]),
                available=reason is None,
                reason=reason,
            )
        )
    return found


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def refuse(algo: str) -> NoReturn:
    """Raises the error for an `algo=` that the compiled registry did not accept."""
    rungs = {rung.name: rung for rung in algorithms()}
    name, at, variant = algo.partition("@")
    if name not in rungs:
        names = ["auto", *rungs]
        raise ValueError(f"unknown algo {algo!r}.{_nearest(name, names)} The names are {', '.join(names)}.")
    rung = rungs[name]
    if at and not rung.variants:
        raise ValueError(f"algo {algo!r}: {name!r} has no variants; call it without '@{variant}'.")
    builds = {build["name"]: build["level"] for build in _core.variants()}
    if at and variant not in builds:
        hint = _nearest(variant, list(rung.variants))
        raise ValueError(
            f"algo {algo!r}: unknown variant {variant!r}.{hint} Here {name!r} has {', '.join(rung.variants)}."
        )
    if at and variant not in rung.variants:
        if any(build["name"] == variant and build["runs_here"] for build in _core.variants()):
            raise ValueError(f"algo {algo!r}: {name!r} is not built as {variant!r}. It has {', '.join(rung.variants)}.")
        raise AlgorithmUnavailable(
            f"{algo!r} needs a CPU with instruction set level {builds[variant]!r}, which this one lacks. "
            f"Here {name!r} has {', '.join(rung.variants)}."
        )
    raise AlgorithmUnavailable(f"{name!r} cannot run here: {rung.reason}")


_core.set_callbacks(baselines.functions(AlgorithmUnavailable), gpu.calls(AlgorithmUnavailable), refuse)
