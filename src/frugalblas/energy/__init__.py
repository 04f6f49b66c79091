"""Joules that say where they come from: measured, with an uncertainty, never made up.

Nothing is read, loaded or started by importing this package.
"""

from .carbon import co2e, countries, footprint, intensity
from .counter import Counter
from .doctor import doctor
from .doctor_report import DoctorReport
from .errors import BelowResolution, CounterFault, EnergyUnavailable
from .meter import Meter, measure
from .model import DeclaredModel, ModelSource, constant_power, power_of_threads, share_of_tdp
from .probe import Probe, probe
from .protocol import bench, compare, measure_idle, measure_joules
from .quantity import Provenance, Quantity, Reason
from .reading import Idle, Reading
from .resolution import Snapshot
from .results import BenchResult, Comparison, Estimate, TracePoint
from .sources import discover
from .wattlog import WattLog, read_watt_log
from .wattmeter import Wattmeter
from .zones import Sample, Scope, Selection, Source, Zone, select

__all__ = [
    "BelowResolution",
    "BenchResult",
    "Comparison",
    "Counter",
    "CounterFault",
    "DeclaredModel",
    "DoctorReport",
    "EnergyUnavailable",
    "Estimate",
    "Idle",
    "Meter",
    "ModelSource",
    "Probe",
    "Provenance",
    "Quantity",
    "Reading",
    "Reason",
    "Sample",
    "Scope",
    "Selection",
    "Snapshot",
    "Source",
    "TracePoint",
    "WattLog",
    "Wattmeter",
    "Zone",
    "bench",
    "co2e",
    "compare",
    "constant_power",
    "countries",
    "discover",
    "doctor",
    "footprint",
    "intensity",
    "measure",
    "measure_idle",
    "measure_joules",
    "power_of_threads",
    "probe",
    "read_watt_log",
    "select",
    "share_of_tdp",
]
