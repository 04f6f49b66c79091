"""What else decides how much power a machine draws: foreign load, frequency, governor, temperature, throttling.

Read between the windows of a measurement, never inside one. What a machine does not tell is None.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .keeper import in_background

CACHE_LINE = 64
UNKNOWN_CACHE_KIB, LARGEST_CACHE_KIB = 32 * 1024, 512 * 1024
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "x86_pkg_temp")  # hwmon and thermal zone names


@dataclass(frozen=True)
class State:
    """The machine at one moment."""

    frequency_mhz: float | None = None  # mean of the CPUs
    governor: str | None = None  # "powersave", or several by commas
    temperature_c: float | None = None  # the hottest CPU sensor
    throttle_events: int | None = None  # since boot, all CPUs
    load_average: float | None = None  # of the last minute

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds used so far: by everything (None if /proc/stat cannot be read), and by this process."""

    all_s: float | None
    own_s: float


class Machine:
    """The machine that a protocol runs on: its state, its CPU time, and waiting. Tests put a fake in its place."""

    def __init__(
        self, sysfs_root: str | os.PathLike[str] = "/sys", proc_root: str | os.PathLike[str] = "/proc"
    ) -> None:
        """Nothing is read yet."""
        self._sysfs, self._proc = Path(sysfs_root), Path(proc_root)
        self._buffer: bytearray | None = None
        self.cpus = os.cpu_count() or 1

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    def every(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call a method every so many seconds in a thread; what is returned stops that."""
        return in_background(seconds, call)

    def flush_caches(self) -> None:
        """Write one byte to every line of a buffer twice as large as the largest cache."""
        if self._buffer is None:
            sizes = [
                text for path in self._sysfs.glob("devices/system/cpu/cpu0/cache/index*/size") if (text := _text(path))
            ]
            kib = max((int(size[:-1]) for size in sizes if re.fullmatch(r"\d+K", size)), default=UNKNOWN_CACHE_KIB)
            self._buffer = bytearray(2 * min(kib, LARGEST_CACHE_KIB) * 1024)
        self._buffer[::CACHE_LINE] = bytes(len(self._buffer) // CACHE_LINE)

    def cpu_time(self) -> CpuTime:
        """CPU time of everything, and of this process with all its threads."""
        return CpuTime(self._all_cpu_s(), time.process_time())

    def state(self) -> State:
        """Frequency, governor, temperature and throttling as Linux reports them."""
        cpu = self._sysfs / "devices/system/cpu"
        frequencies = _numbers(cpu.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        governors = {text for path in cpu.glob("cpu[0-9]*/cpufreq/scaling_governor") if (text := _text(path))}
        temperatures = _numbers(self._temperature_files())
        throttled = _numbers(cpu.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        load = (_text(self._proc / "loadavg") or "").split()
        return State(
            frequency_mhz=sum(frequencies) / len(frequencies) / 1e3 if frequencies else None,
            governor=",".join(sorted(governors)) or None,
            temperature_c=max(temperatures) / 1e3 if temperatures else None,
            throttle_events=int(sum(throttled)) if throttled else None,
            load_average=float(load[0]) if load else None,
        )

    def _temperature_files(self) -> Iterable[Path]:
        for name in self._sysfs.glob("class/hwmon/hwmon*/name"):
            if _text(name) in CPU_SENSORS:
                yield from name.parent.glob("temp*_input")
        for kind in self._sysfs.glob("class/thermal/thermal_zone*/type"):
            if _text(kind) in CPU_SENSORS:
                yield kind.parent / "temp"

    def _all_cpu_s(self) -> float | None:
        """First line of /proc/stat: user nice system idle iowait irq softirq steal guest guest_nice (proc(5))."""
        fields = (_text(self._proc / "stat") or "").split("\n", 1)[0].split()
        if len(fields) < 8 or fields[0] != "cpu":
            return None
        user, nice, system, _, _, irq, softirq = (int(field) for field in fields[1:8])  # guests are within user
        return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def foreign_share(before: CpuTime, after: CpuTime, seconds: float, cpus: int) -> float | None:
    """The share of all CPUs that other processes used; None where /proc/stat tells nothing, or the time was short."""
    if before.all_s is None or after.all_s is None or seconds < 0.1:  # /proc/stat counts in hundredths of a second
        return None
    foreign_s = (after.all_s - before.all_s) - (after.own_s - before.own_s)
    return max(0.0, foreign_s / (seconds * cpus))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _numbers(paths: Iterable[Path]) -> list[float]:
    found = []
    for path in paths:
        try:
            found.append(float(_text(path) or ""))
        except ValueError:
            continue
    return found
