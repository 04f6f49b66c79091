"""Zones: one energy counter each, and which of them may be added together.

Containment, from the Linux powercap and perf ``power`` drivers::

    wall  >  psys  >  package  >  core, uncore          dram lies beside package; a GPU beside both
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

from .errors import EnergyUnavailable
from .quantity import Provenance, Reason

Scope = Literal["cpu", "cpu+dram", "gpu", "node", "platform"]


@dataclass(frozen=True)
class Zone:
    """One energy counter.

    ``domain`` is ``package``, ``core``, ``uncore``, ``dram``, ``psys``, ``gpu`` or ``wall``. A counter in another form
    (a power sensor, a wattmeter, a declared power) is a Zone too: its source accumulates energy at every read, with the
    uncertainty in the sample, and asks for reads every ``read_every_s``.
    """

    id: str  # unique among all sources, e.g. "intel-rapl:0:1", "perf:energy-pkg:0", "nvml:GPU-1f0c…"
    domain: str
    socket: int | None
    backend: str  # "powercap", "mmio", "perf", "nvml", "amdsmi", …
    modulus_uj: int | None  # the counter restarts from 0 here; None: it never wraps, or its range cannot be read
    lsb_uj: float  # its smallest step
    reason: Reason = Reason.OK
    hint: str = ""  # if the reason is not OK: what it means and the least-privilege fix
    name: str = ""  # what the system calls it: "package-0", "NVIDIA H100 …"
    die: int | None = None
    tick_s: float = 1e-3  # its update period, nominal until probed
    max_power_w: float = 1000.0  # more than it can draw: beyond it a step is a fault, and reads are due sooner
    read_every_s: float | None = None  # the source needs a read this often whatever the modulus
    provenance: Provenance = Provenance.MEASURED
    aliases: tuple[str, ...] = ()  # other names of the device: PCI bus id, UUID

    @property
    def horizon_s(self) -> float | None:
        """The longest safe time between two reads: half a wrap at ``max_power_w``, or ``read_every_s`` (s)."""
        wrap = None if self.modulus_uj is None else self.modulus_uj * 1e-6 / self.max_power_w / 2
        known = [seconds for seconds in (wrap, self.read_every_s) if seconds is not None]
        return min(known) if known else None


class Sample(NamedTuple):
    """One reading of one zone.

    ``u_uj`` is the uncertainty accumulated with the energy by sources that integrate power; the difference of two
    samples has the difference of their ``u_uj``, since such errors add up linearly.
    """

    t_ns: int  # monotonic, the middle of the read
    energy_uj: int
    u_uj: float = 0.0


class Source(Protocol):
    """A family of counters that is read together.

    A source never raises while it is looked for: if it has nothing to offer, ``zones`` is empty and ``reason`` and
    ``hint`` say why.
    """

    name: str
    reason: Reason
    hint: str

    @property
    def zones(self) -> Sequence[Zone]:
        """All counters found, usable or not."""

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """Read the zones named (all usable ones if None), once. A zone that cannot be read maps to the OSError."""

    def close(self) -> None:
        """Release files and libraries; a second call does nothing."""


@dataclass(frozen=True)
class Selection:
    """The zones a scope adds up, none inside another, and what is missing for the scope to be complete."""

    scope: Scope
    zones: tuple[Zone, ...]
    flags: frozenset[str] = field(default_factory=frozenset)  # "mirrored", "no-dram"
    missing: tuple[str, ...] = ()


# Of several backends with the same domain, the first complete one is used, alone: they read the same silicon.
BACKENDS = ("wattmeter", "powercap", "perf", "mmio", "nvml", "nvml-power", "amdsmi", "model")
DOMAINS: dict[str, tuple[tuple[str, ...], ...]] = {  # what each scope adds: one domain out of each group, if any
    "cpu": (("package",),),
    "cpu+dram": (("package",), ("dram",)),
    "gpu": (("gpu",),),
    "node": (("package",), ("dram",), ("gpu",)),
    "platform": (("wall", "psys"),),
}
OPTIONAL = {"dram": "no-dram"}  # domains that many machines do not have: their absence is flagged, not refused


def select(sources: Sequence[Source], scope: Scope = "cpu+dram", *, gpus: Sequence[str] | None = None) -> Selection:
    """Choose the zones that make up ``scope``, never two that overlap.

    ``gpus`` names the GPUs to count by PCI bus id or UUID (None: all of them). CUDA's indices are refused, since
    ``CUDA_VISIBLE_DEVICES`` and ``CUDA_DEVICE_ORDER`` renumber them.

    Raises:
        ValueError: unknown scope, or two zones with one id. TypeError: a GPU named by index.
    """
    if scope not in DOMAINS:
        raise ValueError(f"scope is {scope!r}; it must be one of {', '.join(DOMAINS)}")
    zones = [zone for source in sources for zone in source.zones]
    twice = [id for id, number in Counter(zone.id for zone in zones).items() if number > 1]
    if twice:
        raise ValueError(f"more than one source has the zone {', '.join(twice)}")
    chosen: list[Zone] = []
    flags: set[str] = set()
    missing: list[str] = []
    for group in DOMAINS[scope]:
        for domain in group:
            candidates = [zone for zone in zones if zone.domain == domain]
            if domain == "gpu":
                candidates = _named_gpus(candidates, gpus)
            found, why = _one_backend(candidates)
            chosen += found
            if found or candidates:
                break
        if not found and not candidates and group[0] in OPTIONAL:
            flags.add(OPTIONAL[group[0]])
        elif not found:
            missing += why or _absence(sources, group)
    backends = {zone.backend for zone in chosen}
    if any(z.reason is Reason.MIRRORED and z.backend in backends and z.domain in DOMAINS[scope][0] for z in zones):
        flags.add("mirrored")
    return Selection(scope, tuple(chosen), frozenset(flags), tuple(missing))


def mark_mirrored(zones: Sequence[Zone], vendor: str) -> list[Zone]:
    """On AMD and Hygon, keep one die per socket: every die shows the counter of its whole socket.

    There the package counter has package scope, as the kernel's own ``rapl_msrs_are_pkg_scope()`` says, but kernels
    before that fix export one zone per die. Intel's dies (Cascade Lake-AP) have counters of their own: all are kept.
    """
    if vendor not in ("AuthenticAMD", "HygonGenuine"):
        return list(zones)
    seen: dict[tuple[str, int | None, str], str] = {}
    marked = []
    for zone in zones:
        if zone.domain == "package" and zone.reason is Reason.OK:
            first = seen.setdefault((zone.backend, zone.socket, zone.domain), zone.id)
            if first != zone.id:
                zone = replace(zone, reason=Reason.MIRRORED, hint=f"the same counter as {first}: counted once")
        marked.append(zone)
    return marked


def explain_missing(selection: Selection) -> EnergyUnavailable:
    """The error for a scope that cannot be measured: every reason found, one a line."""
    reasons = "".join(f"\n  {line}" for line in selection.missing)
    return EnergyUnavailable(
        f"the scope {selection.scope!r} cannot be measured here, and no number is made up for it:{reasons}\n"
        "`frugalblas energy doctor` explains each; on_missing='none' goes on without joules"
    )


def _one_backend(candidates: Sequence[Zone]) -> tuple[list[Zone], list[str]]:
    """All zones of the first backend of which every zone is usable; else none, and why not."""
    bad = [zone for zone in candidates if zone.reason not in (Reason.OK, Reason.MIRRORED)]
    why = [f"{zone.id} ({zone.name or zone.domain}): {zone.reason.code}: {zone.hint}" for zone in bad]
    sockets = {zone.socket for zone in candidates if zone.socket is not None}
    for backend in sorted({zone.backend for zone in candidates}, key=_rank):
        zones = [zone for zone in candidates if zone.backend == backend and zone.reason is not Reason.MIRRORED]
        if zones and all(zone.reason is Reason.OK for zone in zones):
            covered = {zone.socket for zone in zones}
            if None in covered or covered >= sockets:
                return zones, []
            why.append(f"{backend}: covers only some of the sockets")
    return [], why


def _rank(backend: str) -> int:
    return BACKENDS.index(backend) if backend in BACKENDS else len(BACKENDS)


def _named_gpus(candidates: Sequence[Zone], gpus: Sequence[str] | None) -> list[Zone]:
    if gpus is None:
        return list(candidates)
    if isinstance(gpus, str) or not all(isinstance(gpu, str) for gpu in gpus):
        raise TypeError("gpus is a sequence of PCI bus ids or UUIDs; CUDA's indices do not say which device they mean")
    wanted = {normal_pci(gpu) for gpu in gpus}
    return [zone for zone in candidates if wanted & {normal_pci(alias) for alias in (zone.id, *zone.aliases)}]


def normal_pci(name: str) -> str:
    """``00000000:65:00.0``, ``0000:65:00.0`` and ``65:00.0`` are one device; UUIDs only lose their case."""
    pci = re.fullmatch(r"(?:([0-9a-f]+):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", name.lower())
    return f"{int(pci[1] or '0', 16):04x}:{pci[2]}" if pci else name.lower()


def _absence(sources: Sequence[Source], domains: tuple[str, ...]) -> list[str]:
    """Why there is no zone of these domains at all."""
    gpu = "gpu" in domains
    lines = [
        f"{source.name}: {source.reason.code}: {source.hint}"
        for source in sources
        if source.reason is not Reason.OK and (source.name in ("nvml", "amdsmi")) == gpu
    ]
    return lines or [f"no source has a zone of the domain {' or '.join(domains)}"]
