"""What an energy region costs: nothing where no meter is active, else some microseconds plus the counter reads.

    python bench/energy_overhead.py [--json FILE]

The meter is timed on counters that answer at once (a source that returns a constant), so that what is left is the
meter's own work; then on powercap-like files in a temporary directory, so that the reads can be compared. The call path
of sgemm is timed with and without a region open around it. All times are CPU time of the thread, which a busy machine
disturbs less than the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import frugalblas
from frugalblas import energy
from frugalblas.energy.powercap import Powercap
from frugalblas.energy.testing import FakePowercap

ROUNDS, CALLS = 31, 2000


class Constant:
    """Two zones that are read in no time."""

    name, reason, hint = "constant", energy.Reason.OK, ""

    def __init__(self) -> None:
        self.zones = [energy.Zone(id, id, 0, "constant", 10**11, 61.0) for id in ("package", "dram")]

    def read(self, ids=None):
        sample = energy.Sample(time.perf_counter_ns(), 0)
        return {"package": sample, "dram": sample}

    def close(self) -> None:
        pass


def microseconds(work: Callable[[], object], calls: int = CALLS) -> list[float]:
    """CPU time per call of each round (µs)."""
    samples = []
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        for _ in range(calls):
            work()
        samples.append((time.thread_time_ns() - start) / calls / 1000)
    return samples


def region_of(meter: energy.Meter) -> Callable[[], object]:
    def work() -> None:
        with meter.region("r"):
            pass
        meter.readings.clear()

    return work


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="keep every sample")
    options = parser.parse_args()
    A = np.random.default_rng(0).standard_normal((8, 8), dtype=np.float32)
    C = np.empty_like(A)
    constant = Constant()
    with tempfile.TemporaryDirectory() as directory:
        machine = FakePowercap(Path(directory) / "sys")
        files = Powercap(str(machine.root), str(machine.root / "proc"))
        ids = ["intel-rapl:0", "intel-rapl:0:2"]
        with (
            energy.Meter(sources=[constant]) as instant,
            energy.Meter(sources=[files]) as reading,
        ):
            cases = {
                "sgemm 8x8x8, no meter": lambda: frugalblas.sgemm(A, A, out=C),
                "region, instant counters": region_of(instant),
                "region, two files read at both ends": region_of(reading),
                "the four file reads alone": lambda: (files.read(ids), files.read(ids)),
            }
            samples = {name: microseconds(work) for name, work in cases.items()}
            with instant.region("open"):
                samples["sgemm 8x8x8, inside an open region"] = microseconds(cases["sgemm 8x8x8, no meter"])
            samples["sgemm 8x8x8, no meter"] += microseconds(cases["sgemm 8x8x8, no meter"])
    for name, values in samples.items():
        least, middle, high = np.percentile(values, [0, 50, 90])
        print(f"{name:40s} {middle:8.2f} µs   (least {least:.2f}, 90 %: {high:.2f})")
    own = samples["region, instant counters"]
    print(f"\na region costs {statistics.median(own):.1f} µs (least {min(own):.1f}) besides its counter reads")
    if options.json:
        facts = {"schema": 1, "unit": "us of CPU time per call", "rounds": ROUNDS, "calls": CALLS, "samples": samples}
        Path(options.json).write_text(json.dumps(facts, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
