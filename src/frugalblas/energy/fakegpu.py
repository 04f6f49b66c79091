"""FakeNvml: a stand-in for the module of nvidia-ml-py. Public through ``frugalblas.energy.testing``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from .nvml import ENERGY_FIELD, Nvml
from .simulation import FakeClock, FakeCounter

NOT_SUPPORTED, GPU_IS_LOST = 3, 15


class NVMLError(Exception):
    """As nvidia-ml-py's: ``value`` is the nvmlReturn_t."""

    def __init__(self, value: int) -> None:
        """As nvmlReturn_t."""
        super().__init__(f"NVML error {value}")
        self.value = value


class FakeNvml:
    """GPUs with an energy counter that ticks every 100 ms; pass it as ``nvml=``.

    Statuses are nvmlReturn_t numbers, 0 for success: ``init_error`` fails nvmlInit; ``energy_error[i]`` is the status
    in the field of GPU i (the call itself succeeds); ``call_error[i]`` fails the calls about GPU i that read;
    ``power_error[i]`` its power reading.
    """

    NVMLError = NVMLError

    def __init__(self, clock: FakeClock | None = None, *, pci: Sequence[str] = ("00000000:65:00.0",)) -> None:
        """One GPU per PCI bus id; GPU i has the UUID ``GPU-fake-i``."""
        self.clock = clock or FakeClock()
        self.pci = list(pci)
        self.counters = [
            FakeCounter(self.clock, lsb_uj=Fraction(1000), tick_s=Fraction(1, 10), modulus=None) for _ in pci
        ]
        self.init_error = 0
        self.energy_error, self.call_error, self.power_error = ([0] * len(self.pci) for _ in range(3))
        self.mig = [0] * len(self.pci)
        self.wall_clock_us = 1_700_000_000_000_000  # less the monotonic clock: what setting the system's clock changes
        self.sessions = 0

    def advance(self, seconds: float, watts: Mapping[int, float] | None = None) -> None:
        """Let time pass at these powers, by GPU number; others stay as they are."""
        for index, value in (watts or {}).items():
            self.counters[index].watts = Fraction(value)
        self.clock.advance(seconds)

    def reset(self, index: int) -> None:
        """Start the energy counter again from 0, as reloading the driver does."""
        self.counters[index].set_steps(0)

    def source(self) -> Nvml:
        """An Nvml source on these GPUs."""
        return Nvml(self, clock=self.clock)

    # ---- the functions of nvidia-ml-py that are used

    def nvmlInit(self) -> None:  # noqa: N802, D102
        self._check(self.init_error)
        self.sessions += 1

    def nvmlShutdown(self) -> None:  # noqa: N802, D102
        self._check(0 if self.sessions else 1)
        self.sessions -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802, D102
        return len(self.pci)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802, D102
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802, D102
        return f"GPU-fake-{handle}"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802, D102
        return "Fake GPU"

    def nvmlDeviceGetPciInfo(self, handle: int) -> Any:  # noqa: N802, D102
        return SimpleNamespace(busId=self.pci[handle])

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802, D102
        return [self.mig[handle], self.mig[handle]]

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: int) -> list[int]:  # noqa: N802, D102
        return [100_000, 700_000]

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802, D102
        self._check(self.call_error[handle] or self.power_error[handle])
        return round(self.counters[handle].watts * 1000)

    def nvmlDeviceGetFieldValues(self, handle: int, fields: Sequence[int]) -> list[Any]:  # noqa: N802, D102
        self._check(self.call_error[handle])
        stamp = self.clock() // 1000 + self.wall_clock_us
        status = self.energy_error[handle]
        energy = 0 if status else self.counters[handle].steps
        return [
            SimpleNamespace(
                fieldId=field,
                nvmlReturn=status if field == ENERGY_FIELD else NOT_SUPPORTED,
                value=SimpleNamespace(ullVal=energy),
                timestamp=stamp,
                latencyUsec=0,
            )
            for field in fields
        ]

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise NVMLError(status)
