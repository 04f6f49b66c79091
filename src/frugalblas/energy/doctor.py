"""What can be measured on this machine, and if not, exactly why."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

from .doctor_report import DoctorReport
from .powercap import cpu_facts
from .probe import Probe, probe
from .quantity import Reason
from .sources import discover
from .zones import Scope, Source, Zone, select

EXIT_CPU, EXIT_NO_CPU, EXIT_NOTHING = 0, 3, 4
DISAGREE, MIRROR = 0.05, 0.005  # of two sources, of two dies: relative difference of their joules
DEAD_HINT = "it can be read but did not move while it was watched: dead, or switched off by the firmware"
FILTER_HINT = (
    "SGX is present: while it is in use, Intel's energy filtering adds noise to RAPL on purpose (Intel's guidance on "
    "CVE-2020-8694), which no uncertainty here covers"
)


def doctor(
    sources: Sequence[Source] | None = None,
    *,
    probe_s: float = 1.0,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], object] = time.sleep,
    **discovery: Any,
) -> DoctorReport:
    """Find, probe and explain every counter.

    ``probe_s``: how long to watch the counters (s); 0: only say which can be read. ``discovery``: as of ``discover``
    (``sysfs_root=``, ``nvml=``, …), where ``sources`` is None. Probing costs CPU time, and reads wake idle sockets.
    """
    found = list(discover(clock=clock, **discovery) if sources is None else sources)
    root = os.fspath(discovery.get("sysfs_root", "/sys"))
    inside = os.path.join(root, "proc")
    proc = os.fspath(discovery.get("proc_root") or (inside if os.path.isdir(inside) else "/proc"))
    try:
        probes = probe(found, probe_s, clock=clock, sleep=sleep) if probe_s > 0 else {}
    finally:
        if sources is None:
            for source in found:
                source.close()
    judged = [_Judged(source, [_judge(zone, probes.get(zone.id)) for zone in source.zones]) for source in found]
    findings = [*_mirrors(judged, probes), *_disagreements(judged, probes)]
    machine = _machine(proc)
    if machine["sgx"]:
        findings.append(FILTER_HINT)
    code, verdict = _verdict(judged)
    return DoctorReport(
        machine=machine,
        sources=[_source_facts(source, probes) for source in judged],
        scopes={scope: _scope_facts(judged, scope) for scope in get_args(Scope)},
        findings=findings,
        exit_code=code,
        verdict=verdict,
    )


class _Judged:
    """A source with its zones as the probe found them; enough of a Source for ``select``."""

    def __init__(self, source: Source, zones: Sequence[Zone]) -> None:
        self.name, self.reason, self.hint, self.zones = source.name, source.reason, source.hint, zones
        if zones and source.reason is Reason.OK and not any(zone.reason is Reason.OK for zone in zones):
            self.reason, self.hint = zones[0].reason, zones[0].hint

    def read(self, ids: Sequence[str] | None = None) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


def _judge(zone: Zone, seen: Probe | None) -> Zone:
    if seen is None or zone.reason is not Reason.OK:
        return zone
    if seen.moves == 0:
        hint = f"reading it fails: {seen.fault}" if seen.fault else DEAD_HINT
        patient = seen.seconds > max(5 * zone.tick_s, zone.lsb_uj * 1e-6 / 0.1)  # for a coarse counter, watch longer
        return replace(zone, reason=Reason.DEAD, hint=hint) if seen.fault or patient else zone
    if seen.fault:
        return replace(zone, reason=Reason.INCONSISTENT, hint=seen.fault)
    return zone


def _mirrors(sources: Sequence[_Judged], probes: Mapping[str, Probe]) -> list[str]:
    """Where the dies of a socket do not behave as the vendor's rule says."""
    lines = []
    zones = [zone for source in sources for zone in source.zones if zone.domain == "package" and zone.die is not None]
    for one, other in combinations(zones, 2):
        if (one.backend, one.socket) != (other.backend, other.socket):
            continue
        difference = _difference([one.id], [other.id], probes)
        said_mirrored = Reason.MIRRORED in (one.reason, other.reason)
        if difference is not None and (difference <= MIRROR) != said_mirrored:
            rule = "should show one counter" if said_mirrored else "should be counters of their own"
            lines.append(f"inconsistent: the dies {one.id} and {other.id} {rule}, but differ by {difference:.2%}")
    return lines


def _disagreements(sources: Sequence[_Judged], probes: Mapping[str, Probe]) -> list[str]:
    """Backends that read the same domain and do not agree."""
    groups: dict[tuple[str, str], list[str]] = {}
    for source in sources:
        for zone in source.zones:
            if zone.reason is Reason.OK and zone.domain in ("package", "dram", "psys"):
                groups.setdefault((zone.domain, zone.backend), []).append(zone.id)
    lines = []
    for (domain, backend), (domain2, backend2) in combinations(groups, 2):
        if domain != domain2:
            continue
        difference = _difference(groups[domain, backend], groups[domain, backend2], probes)
        if difference is not None and difference > DISAGREE:
            lines.append(f"inconsistent: {backend} and {backend2} differ by {difference:.1%} on {domain}")
    return lines


def _difference(ones: Iterable[str], others: Iterable[str], probes: Mapping[str, Probe]) -> float | None:
    """Relative difference of the mean powers; None if one was not seen, or too coarsely to tell."""
    sums = []
    for ids in (ones, others):
        seen = [probes.get(id) for id in ids]
        if not all(probe and probe.watts and probe.moves > 20 for probe in seen):
            return None
        sums.append(sum(probe.watts for probe in seen if probe and probe.watts))
    return abs(sums[0] - sums[1]) / max(sums)


def _machine(proc: str) -> dict[str, Any]:
    facts = cpu_facts(proc)
    return {
        "vendor": facts.vendor,
        "hypervisor": facts.hypervisor,
        "sgx": facts.sgx,
        "uid": os.geteuid(),
        "perf_event_paranoid": _paranoid(proc),
    }


def _paranoid(proc: str) -> int | None:
    try:
        with open(os.path.join(proc, "sys", "kernel", "perf_event_paranoid"), encoding="ascii") as file:
            text = file.read(16).strip()
    except OSError:
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _verdict(sources: Sequence[_Judged]) -> tuple[int, str]:
    usable = [z for s in sources for z in s.zones if z.reason is Reason.OK and z.provenance.is_measured]
    if any(zone.domain == "package" for zone in usable):
        return EXIT_CPU, "ok: the energy of the CPU can be measured here"
    packages = [z.reason for s in sources for z in s.zones if z.domain == "package"]
    reasons = [*(s.reason for s in sources), *packages]
    why = ", ".join(dict.fromkeys(reason.code for reason in reasons if reason is not Reason.OK)) or "no source"
    others = dict.fromkeys(zone.domain for zone in usable if zone.domain in ("gpu", "psys", "wall"))
    if others:
        return EXIT_NO_CPU, f"no CPU counter ({why}); only: {', '.join(others)}"
    return EXIT_NOTHING, f"nothing can be measured here: {why}"


def _source_facts(source: _Judged, probes: Mapping[str, Probe]) -> dict[str, Any]:
    return {
        "name": source.name,
        "reason": source.reason.code,
        "hint": source.hint,
        "zones": [_zone_facts(zone, probes.get(zone.id)) for zone in source.zones],
    }


def _zone_facts(zone: Zone, seen: Probe | None) -> dict[str, Any]:
    watts = seen.watts if seen else None
    return {
        "id": zone.id,
        "name": zone.name or zone.domain,
        "domain": zone.domain,
        "socket": zone.socket,
        "die": zone.die,
        "backend": zone.backend,
        "reason": zone.reason.code,
        "hint": zone.hint,
        "provenance": zone.provenance.name.lower(),
        "lsb_uj": zone.lsb_uj,
        "modulus_uj": zone.modulus_uj,
        "read_every_s": zone.horizon_s,
        "nominal_tick_s": zone.tick_s,
        "tick_s": seen.tick_s if seen else None,
        "step_uj": seen.step_uj if seen else None,
        "latency_s": seen.latency_s if seen else None,
        "watts": watts,
        "wraps_after_s": zone.modulus_uj * 1e-6 / watts if zone.modulus_uj and watts else None,
    }


def _scope_facts(sources: Sequence[_Judged], scope: Scope) -> dict[str, Any]:
    chosen = select(sources, scope)
    usable = not chosen.missing
    return {
        "usable": usable,
        "zones": [zone.id for zone in chosen.zones] if usable else [],
        "flags": sorted(chosen.flags),
        "missing": list(chosen.missing),
    }
