"""AMD GPUs, by way of the Python module ``amdsmi`` that ROCm installs, loaded when a source is made and not before.

``amdsmi_get_energy_count`` gives an accumulator and the energy of one step (``counter_resolution``, µJ); it is not
supported in virtual machines (AMD SMI reference, "Power Queries").
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from .quantity import Reason
from .zones import Sample, Zone

DRIVER = "/sys/module/amdgpu"
TICK_S = 0.1  # nominal until probed; AMD does not state it
NO_BINDING = "AMD GPUs need ROCm's driver and its Python module amdsmi"
ZERO = "its counter stands at 0: the second die of a module is counted by the first, or the counter is broken"


class AmdSmi:
    """All GPUs of the amdgpu driver, one zone each."""

    name = "amdsmi"

    def __init__(self, library: Any = "auto", *, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        """Load AMD SMI. ``library``: "auto" or True import amdsmi (True: errors are raised); or a stand-in for it."""
        self._clock = clock
        self._handles: dict[str, Any] = {}
        self._zones: list[Zone] = []
        self._library: Any = None
        self.reason, self.hint = Reason.OK, ""
        if library == "auto" and not os.path.isdir(DRIVER):  # without it the module prints a complaint when imported
            self.reason, self.hint = Reason.DRIVER_MISSING, NO_BINDING
            return
        try:
            smi = importlib.import_module("amdsmi") if library == "auto" or library is True else library
            smi.amdsmi_init()
        except Exception as error:  # the module raises what it likes where there is no driver
            if library is True:
                raise
            self.reason = Reason.DRIVER_MISSING
            self.hint = NO_BINDING if isinstance(error, ImportError) else f"{NO_BINDING}: {error}"
            return
        self._library = smi
        try:
            self._zones = [self._probe(handle) for handle in smi.amdsmi_get_processor_handles()]
        except smi.AmdSmiException as error:
            self.reason, self.hint = Reason.NOT_SUPPORTED, str(error)
        if not self._zones and self.reason is Reason.OK:
            self.reason, self.hint = Reason.NOT_SUPPORTED, "the amdgpu driver sees no GPU"

    @property
    def zones(self) -> Sequence[Zone]:
        """One zone per GPU, usable or not."""
        return self._zones

    def _probe(self, handle: Any) -> Zone:
        smi = self._library
        uuid, pci = smi.amdsmi_get_gpu_device_uuid(handle), smi.amdsmi_get_gpu_device_bdf(handle)
        id = f"amdsmi:{uuid}"
        reason, hint, lsb = Reason.OK, "", 15.3
        try:
            count = smi.amdsmi_get_energy_count(handle)
            lsb = float(count["counter_resolution"])
            if count["energy_accumulator"] == 0 or lsb <= 0:
                reason, hint = Reason.DEAD, ZERO
        except smi.AmdSmiException as error:
            reason, hint = Reason.NOT_SUPPORTED, str(error)
        self._handles[id] = handle
        return Zone(
            id=id,
            domain="gpu",
            socket=None,
            backend="amdsmi",
            modulus_uj=None,
            lsb_uj=lsb,
            reason=reason,
            hint=hint,
            name="AMD GPU",
            tick_s=TICK_S,
            max_power_w=2000.0,
            aliases=(uuid, pci),
        )

    def read(self, ids: Sequence[str] | None = None) -> dict[str, Sample | OSError]:
        """Read each GPU's accumulator."""
        if ids is None:
            ids = [zone.id for zone in self._zones if zone.reason is Reason.OK]
        samples: dict[str, Sample | OSError] = {}
        for id in ids:
            smi = self._library
            if smi is None:
                samples[id] = OSError("AMD SMI is closed")
                continue
            before = self._clock()
            try:
                count = smi.amdsmi_get_energy_count(self._handles[id])
            except smi.AmdSmiException as error:
                samples[id] = OSError(f"AMD SMI: {error}")
            else:
                energy = round(count["energy_accumulator"] * count["counter_resolution"])
                samples[id] = Sample((before + self._clock()) // 2, energy)
        return samples

    def close(self) -> None:
        """Leave AMD SMI; a second call does nothing."""
        library, self._library = self._library, None
        if library is not None:
            with contextlib.suppress(library.AmdSmiException):
                library.amdsmi_shut_down()
