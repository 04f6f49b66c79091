"""GPUs: NVML and AMD SMI, on fakes."""

from fractions import Fraction
from types import SimpleNamespace

import pytest

from frugalblas.energy import BelowResolution, CounterFault, EnergyUnavailable, Meter, Provenance, Reason, select
from frugalblas.energy.amdsmi import AmdSmi
from frugalblas.energy.nvml import ERRORS, Nvml
from frugalblas.energy.testing import FakeClock, FakeNvml
from frugalblas.energy.zones import normal_pci


def gpu_meter(fake, **options):
    return Meter("gpu", sources=[fake.source()], clock=fake.clock, every=fake.clock.every, **options)


def test_joules():
    fake = FakeNvml()
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(10.0, {0: 300.0})
    assert r.gross.value == pytest.approx(3000.0)
    assert r.gross.u == pytest.approx(300 * 0.1 * (2 / 12) ** 0.5, rel=1e-3)
    assert r.gross.provenance is Provenance.MEASURED


def test_vector_11_not_supported_is_a_reason_not_zero():
    fake = FakeNvml()
    fake.energy_error[0] = fake.power_error[0] = 3
    source = fake.source()
    assert source.zones[0].reason is Reason.NOT_SUPPORTED
    assert "Volta" in source.zones[0].hint
    with pytest.raises(EnergyUnavailable, match="not-supported"):
        gpu_meter(fake)
    with gpu_meter(fake, on_missing="none") as meter, meter.region("r") as r:
        fake.advance(10.0, {0: 300.0})
    assert (r.gross, r.net, r.per_zone, r.flags) == (None, None, {}, {"unmeasured"})


def test_vector_11_a_reset_is_an_error():
    fake = FakeNvml()
    fake.advance(10.0, {0: 300.0})
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(1.0)
        fake.reset(0)
        fake.advance(1.0)
    with pytest.raises(CounterFault, match="went back"):
        r.gross  # noqa: B018


@pytest.mark.parametrize("code", [4, 15, 999, 12345])
def test_vector_11_the_status_in_the_field_is_honoured(code):
    fake = FakeNvml()
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(10.0, {0: 300.0})
        fake.energy_error[0] = code
    with pytest.raises(CounterFault, match=f"NVML error {code}"):
        r.gross  # noqa: B018


def test_vector_11_gpus_are_named_by_pci_id_or_uuid():
    fake = FakeNvml(pci=("00000000:65:00.0", "00000000:C1:00.0"))
    sources = [fake.source()]
    for name in ("0000:c1:00.0", "C1:00.0", "00000000:C1:00.0", "GPU-fake-1", "gpu-FAKE-1", "nvml:GPU-fake-1"):
        assert [zone.id for zone in select(sources, "gpu", gpus=[name]).zones] == ["nvml:GPU-fake-1"]
    assert len(select(sources, "gpu").zones) == 2
    with pytest.raises(TypeError, match="PCI bus ids or UUIDs"):
        select(sources, "gpu", gpus=[1])
    with pytest.raises(TypeError, match="PCI bus ids or UUIDs"):
        select(sources, "gpu", gpus="0000:c1:00.0")
    assert select(sources, "gpu", gpus=["GPU-none"]).missing
    assert normal_pci("GPU-1f:2.0") == "gpu-1f:2.0"


def test_only_the_gpus_asked_for_are_billed():
    fake = FakeNvml(pci=("00000000:65:00.0", "00000000:C1:00.0"))
    with gpu_meter(fake, gpus=["0000:c1:00.0"]) as meter, meter.region("r") as r:
        fake.advance(10.0, {0: 300.0, 1: 100.0})
    assert r.gross.value == pytest.approx(1000.0)


def test_power_is_integrated_where_there_is_no_counter():
    fake = FakeNvml()
    fake.energy_error[0] = 3
    with gpu_meter(fake) as meter:
        assert meter.zones[0].backend == "nvml-power"
        with meter.region("r") as r:
            fake.advance(5.0, {0: 100.0})
            fake.advance(5.0, {0: 300.0})
    assert r.gross.value == pytest.approx(2000.0, abs=25.0)
    assert r.gross.provenance is Provenance.DERIVED
    assert abs(r.gross.value - 2000.0) < 2 * r.gross.u
    assert r.gross.u > 200 * 0.41  # at least the averaging time of the sensor at the mean power


def test_a_power_sensor_that_fails_is_a_fault():
    fake = FakeNvml()
    fake.energy_error[0] = 3
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(5.0, {0: 100.0})
        fake.power_error[0] = 15
    with pytest.raises(CounterFault, match="fallen off the bus"):
        r.gross  # noqa: B018


def test_a_region_shorter_than_a_tick():
    fake = FakeNvml()
    fake.advance(1.0, {0: 300.0})
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(0.03)
    with pytest.raises(BelowResolution) as caught:
        r.gross  # noqa: B018
    assert caught.value.upper_bound_j > 9.0


def test_setting_the_system_clock_changes_nothing():
    fake = FakeNvml()
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(5.0, {0: 300.0})
        fake.wall_clock_us -= 3600 * 10**6
        with meter.region("inner"):
            fake.advance(5.0)
    assert r.gross.value == pytest.approx(3000.0)
    assert r.gross.u < 20.0


def test_the_drivers_time_stamps_widen_the_uncertainty():
    """A value that the driver took 80 ms before it answered does not cover the window."""
    fake = FakeNvml()
    with gpu_meter(fake) as meter, meter.region("r") as r:
        fake.advance(10.0, {0: 300.0})
        fake.wall_clock_us -= 80_000
    assert r.gross.u == pytest.approx((300**2 * 0.1**2 / 6 + (300 * 0.08) ** 2 / 3) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("code", "reason"), [(9, Reason.DRIVER_MISSING), (12, Reason.DRIVER_MISSING), (4, Reason.NO_PERMISSION)]
)
def test_nvml_does_not_start(code, reason):
    fake = FakeNvml()
    fake.init_error = code
    source = fake.source()
    assert (source.reason, source.hint, list(source.zones)) == (reason, ERRORS[code][1], [])
    source.close()


def test_no_gpu_and_no_binding(monkeypatch):
    assert FakeNvml(pci=()).source().reason is Reason.NOT_SUPPORTED
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)  # its import fails
    assert Nvml().reason is Reason.DRIVER_MISSING
    assert "nvidia-ml-py" in Nvml().hint
    with pytest.raises(ImportError):
        Nvml(True)


def test_nvml_stays_open_until_close():
    fake = FakeNvml()
    source = fake.source()
    assert fake.sessions == 1
    source.close()
    source.close()
    assert fake.sessions == 0
    assert isinstance(source.read(["nvml:GPU-fake-0"])["nvml:GPU-fake-0"], OSError)


def test_mig_is_said():
    fake = FakeNvml()
    fake.mig[0] = 1
    assert "whole GPU" in fake.source().zones[0].hint


def test_the_gpu_is_synchronised_before_both_reads():
    fake, calls = FakeNvml(), []

    def sync():
        calls.append(len(fake_reads))
        fake.advance(0.5)  # the queue drains

    fake_reads = []
    read = fake.nvmlDeviceGetFieldValues
    fake.nvmlDeviceGetFieldValues = lambda *args: (fake_reads.append(1), read(*args))[1]
    with gpu_meter(fake) as meter:
        fake_reads.clear()
        fake.advance(0.0, {0: 300.0})
        with meter.region("r", sync=sync) as r:
            pass
    assert calls == [0, 1]  # before the first read, and before the second
    assert r.gross.value == pytest.approx(150.0)


def test_node_adds_cpu_and_gpu(fake_machine):
    machine = fake_machine("amd-1s")
    fake = FakeNvml(machine.clock)
    with machine.meter("node", machine.sources(nvml=fake)) as meter, meter.region("r") as r:
        machine.advance(0, {"package-0": 50.0})
        fake.advance(10.0, {0: 300.0})
    assert r.gross.value == pytest.approx(3500.0, abs=1e-2)
    assert r.flags == {"no-dram"}


class FakeAmdSmi:
    """The part of amdsmi that is used."""

    class AmdSmiException(Exception):
        pass

    def __init__(self, accumulators):
        self.accumulators, self.error, self.open = accumulators, None, 0

    def amdsmi_init(self):
        self.open += 1

    def amdsmi_shut_down(self):
        self.open -= 1

    def amdsmi_get_processor_handles(self):
        return range(len(self.accumulators))

    def amdsmi_get_gpu_device_uuid(self, handle):
        return f"uuid-{handle}"

    def amdsmi_get_gpu_device_bdf(self, handle):
        return f"0000:0{handle}:00.0"

    def amdsmi_get_energy_count(self, handle):
        if self.error:
            raise self.AmdSmiException(self.error)
        return {"energy_accumulator": self.accumulators[handle], "counter_resolution": 15.3, "timestamp": 0}


def test_amd_gpu():
    clock, smi = FakeClock(), FakeAmdSmi([10**9, 0])
    source = AmdSmi(smi, clock=clock)
    assert [zone.reason for zone in source.zones] == [Reason.OK, Reason.DEAD]  # the second die of a module
    with pytest.raises(EnergyUnavailable, match="second die"):
        Meter("gpu", sources=[source], clock=clock)
    options = {"gpus": ["0000:00:00.0"], "clock": clock, "every": clock.every}
    with Meter("gpu", sources=[source], **options) as meter:
        with meter.region("r") as r:
            clock.advance(10.0)
            smi.accumulators[0] += int(Fraction(3000 * 10**6) / Fraction(15.3))
        smi.error = "AMDSMI_STATUS_NOT_SUPPORTED"
        with meter.region("broken") as broken:
            clock.advance(1.0)
    assert r.gross.value == pytest.approx(3000.0, abs=1e-3)
    with pytest.raises(CounterFault, match="AMDSMI_STATUS_NOT_SUPPORTED"):
        broken.gross  # noqa: B018
    source.close()
    source.close()
    assert smi.open == 0


def test_amd_without_binding_or_driver(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "amdsmi", None)
    for driver in ("/nonexistent", "/sys"):  # absent; present, but without the binding
        monkeypatch.setattr("frugalblas.energy.amdsmi.DRIVER", driver)
        assert AmdSmi().reason is Reason.DRIVER_MISSING
    with pytest.raises(ImportError):
        AmdSmi(True)
    broken = FakeAmdSmi([1])
    broken.amdsmi_init = lambda: (_ for _ in ()).throw(RuntimeError("no amdgpu"))
    assert "no amdgpu" in AmdSmi(broken).hint
    assert AmdSmi(FakeAmdSmi([])).reason is Reason.NOT_SUPPORTED
    refused = FakeAmdSmi([1])
    refused.error = "not in a virtual machine"
    assert AmdSmi(refused).zones[0].reason is Reason.NOT_SUPPORTED


def test_fakes_answer_as_the_real_binding_does():
    """Field by field; the names are those of nvidia-ml-py's c_nvmlFieldValue_t."""
    fake = FakeNvml()
    (field,) = fake.nvmlDeviceGetFieldValues(0, [83])
    assert isinstance(field, SimpleNamespace)
    assert set(vars(field)) == {"fieldId", "nvmlReturn", "value", "timestamp", "latencyUsec"}
    assert fake.nvmlDeviceGetFieldValues(0, [84])[0].nvmlReturn == 3
