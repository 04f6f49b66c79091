"""NVIDIA GPUs, by way of NVML and its binding nvidia-ml-py, loaded when a source is made and not before.

Energy is NVML's field 83 (NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: mJ since the driver was loaded), whose answer carries
its own status and time. A device without it is integrated from its power reading, which on Ampere and later (GA100
excepted) is an average over one second (nvmlDeviceGetPowerUsage in NVIDIA's NVML reference). Counters are of whole
devices: there is none of a MIG instance or of a process.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .quantity import Provenance, Reason
from .zones import Sample, Zone

ENERGY_FIELD = 83
TICK_S = 0.1  # reports range from 10 to 100 ms: nominal until probed
POWER_EVERY_S = 0.1
POWER_TICK_S = 1.0  # the reading is the mean of the last second
CLOCK_SLACK_NS = 500_000_000  # the field's time is wall-clock time: a larger deviation is a clock that was set

ERRORS = {
    1: (Reason.DEAD, "NVML is not initialised"),
    2: (Reason.NOT_SUPPORTED, "NVML does not accept the request"),
    3: (Reason.NOT_SUPPORTED, "the device has no such counter (older than Volta, a vGPU, or a MIG instance)"),
    4: (Reason.NO_PERMISSION, "the driver denies it to this user: ask for access to the device nodes of this GPU"),
    6: (Reason.NOT_SUPPORTED, "the device was not found"),
    9: (Reason.DRIVER_MISSING, "the NVIDIA kernel driver is not loaded"),
    10: (Reason.DEAD, "the driver did not answer in time"),
    12: (
        Reason.DRIVER_MISSING,
        "libnvidia-ml.so.1 was not found: install NVIDIA's driver, or give it to the container",
    ),
    13: (Reason.DRIVER_MISSING, "the driver is too old to have this function: update it"),
    15: (Reason.DEAD, "the GPU has fallen off the bus"),
    16: (Reason.DEAD, "the GPU must be reset"),
    18: (
        Reason.DRIVER_MISSING,
        "the driver's library and kernel module differ in version: reload the module, or reboot",
    ),
    27: (Reason.DEAD, "the system is not in ready state"),
    999: (Reason.DEAD, "NVML reports an unknown error"),
}


def error_text(code: int) -> str:
    """An NVML status in words."""
    return f"NVML error {code}: {ERRORS.get(code, (None, 'see nvmlReturn_t'))[1]}"


class _Trapezoid:
    """Energy of a power sensor (trapezoid rule on actual times); its uncertainty is ½·Σ|ΔP|·Δt."""

    def __init__(self) -> None:
        self.last: tuple[int, float] | None = None
        self.energy_uj = 0.0
        self.u_uj = 0.0

    def add(self, t_ns: int, watts: float) -> Sample:
        if self.last and t_ns > self.last[0]:
            seconds = (t_ns - self.last[0]) * 1e-9
            self.energy_uj += (watts + self.last[1]) / 2 * seconds * 1e6
            self.u_uj += abs(watts - self.last[1]) / 2 * seconds * 1e6
        self.last = (t_ns, watts)
        return Sample(t_ns, round(self.energy_uj), self.u_uj)


@dataclass
class _Device:
    uuid: str
    handle: Any
    power: _Trapezoid | None  # in place of the energy counter
    stamp: tuple[int, int] | None = None  # of one answer: our clock (ns) and the driver's (µs)
    t_ns: int = 0


class Nvml:
    """All GPUs of the NVIDIA driver, one zone each."""

    name = "nvml"

    def __init__(self, library: Any = "auto", *, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        """Load NVML. ``library``: "auto" or True import nvidia-ml-py (True: or ImportError); else a stand-in for it."""
        self._clock = clock
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._devices: dict[str, _Device] = {}
        self._zones: list[Zone] = []
        self._library: Any = None
        self.reason, self.hint = Reason.OK, ""
        if library == "auto" or library is True:
            try:
                library = importlib.import_module("pynvml")
            except ImportError:
                if library is True:
                    raise
                self.reason = Reason.DRIVER_MISSING
                self.hint = "NVIDIA GPUs need their driver and the package nvidia-ml-py: pip install 'frugalblas[gpu]'"
                return
        try:
            library.nvmlInit()
            self._library = library
            handles = self._handles()
        except library.NVMLError as error:
            self.reason, self.hint = _explain(error)
            self.close()
            return
        self._zones = [self._probe(uuid, handle) for uuid, handle in handles.items()]
        if not self._zones:
            self.reason, self.hint = Reason.NOT_SUPPORTED, "the NVIDIA driver sees no GPU"

    @property
    def zones(self) -> Sequence[Zone]:
        """One zone per GPU, usable or not."""
        return self._zones

    def _handles(self) -> dict[str, Any]:
        nvml = self._library
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return {_str(nvml.nvmlDeviceGetUUID(handle)): handle for handle in handles}

    def _probe(self, uuid: str, handle: Any) -> Zone:
        """The zone of one GPU: its energy counter, else its power sensor, else why not."""
        nvml = self._library
        limits = self._ask(nvml.nvmlDeviceGetPowerManagementLimitConstraints, handle)
        pci = self._ask(nvml.nvmlDeviceGetPciInfo, handle)
        mig = self._ask(nvml.nvmlDeviceGetMigMode, handle)
        hint = "MIG is on: this counts the whole GPU with all its instances" if mig and mig[0] == 1 else ""
        reason, backend, provenance, read_every_s = Reason.OK, "nvml", Provenance.MEASURED, None
        code = self._energy(handle)[0]
        if code:
            reason, why = ERRORS.get(code, (Reason.DEAD, error_text(code)))
            hint = f"no energy counter: {why}"
            if self._ask(nvml.nvmlDeviceGetPowerUsage, handle) is not None:
                reason, backend, provenance, read_every_s = Reason.OK, "nvml-power", Provenance.DERIVED, POWER_EVERY_S
                hint += "; integrated from the power sensor"
        self._devices[f"nvml:{uuid}"] = _Device(uuid, handle, _Trapezoid() if backend == "nvml-power" else None)
        return Zone(
            id=f"nvml:{uuid}",
            domain="gpu",
            socket=None,
            backend=backend,
            modulus_uj=None,
            lsb_uj=1000.0,
            reason=reason,
            hint=hint,
            name=_str(self._ask(nvml.nvmlDeviceGetName, handle) or "GPU"),
            tick_s=TICK_S if backend == "nvml" else POWER_TICK_S,
            max_power_w=max(1000.0, 2e-3 * limits[1] if limits else 0.0),
            read_every_s=read_every_s,
            provenance=provenance,
            aliases=(uuid, *([_str(pci.busId)] if pci is not None else [])),
        )

    def _ask(self, function: Callable[[Any], Any], handle: Any) -> Any:
        """The answer, or None if the device has none."""
        try:
            return function(handle)
        except self._library.NVMLError:
            return None

    def _energy(self, handle: Any) -> tuple[int, int, int]:
        """Status (0: good), energy (mJ) and the driver's time (µs) of field 83."""
        try:
            field = self._library.nvmlDeviceGetFieldValues(handle, [ENERGY_FIELD])[0]
        except self._library.NVMLError as error:
            return error.value, 0, 0
        if field.nvmlReturn != 0:  # the call succeeds even if a field in it failed
            return field.nvmlReturn, 0, 0
        return 0, field.value.ullVal, field.timestamp

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """Read each GPU's counter, or add to the integral of its power."""
        if ids is None:
            ids = [zone.id for zone in self._zones if zone.reason is Reason.OK]
        if os.getpid() != self._pid:
            self._after_fork()
        samples: dict[str, Sample | OSError] = {}
        with self._lock:
            for id in ids:
                try:
                    if self._library is None:
                        raise OSError("NVML is closed")
                    samples[id] = self._sample(self._devices[id])
                except OSError as error:
                    samples[id] = error
        return samples

    def _sample(self, device: _Device) -> Sample:
        before = self._clock()
        if device.power:
            try:
                watts = self._library.nvmlDeviceGetPowerUsage(device.handle) * 1e-3
            except self._library.NVMLError as error:
                raise OSError(error_text(error.value)) from None
            return device.power.add((before + self._clock()) // 2, watts)
        code, millijoules, stamp_us = self._energy(device.handle)
        if code:
            raise OSError(error_text(code))
        return Sample(_place_in_time(device, (before + self._clock()) // 2, stamp_us), millijoules * 1000)

    def _after_fork(self) -> None:
        """NVML's handles belong to the process that made them."""
        self._pid, self._lock = os.getpid(), threading.Lock()
        if self._library is None:
            return
        try:
            self._library.nvmlInit()
            handles = self._handles()
        except self._library.NVMLError:
            self._library = None
            return
        for device in self._devices.values():
            device.handle = handles.get(device.uuid)

    def close(self) -> None:
        """Leave NVML; a second call does nothing. (Without persistence mode its counters may then start again at 0.)"""
        library, self._library = self._library, None
        if library is not None:
            with contextlib.suppress(library.NVMLError):
                library.nvmlShutdown()


def _place_in_time(device: _Device, t_ns: int, stamp_us: int) -> int:
    """When the driver took the value, on our clock: its own stamps tell the distance between two answers better.

    They are wall-clock time, so they are used only while they keep pace with the monotonic clock.
    """
    if stamp_us > 0 and device.stamp:
        placed = device.stamp[0] + (stamp_us - device.stamp[1]) * 1000
        if abs(placed - t_ns) > CLOCK_SLACK_NS:
            device.stamp, placed = (t_ns, stamp_us), t_ns
    else:
        device.stamp, placed = ((t_ns, stamp_us) if stamp_us > 0 else None), t_ns
    device.t_ns = max(device.t_ns, placed)
    return device.t_ns


def _explain(error: Any) -> tuple[Reason, str]:
    return ERRORS.get(error.value, (Reason.DEAD, error_text(error.value)))


def _str(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text
