"""The perf power PMU, on a fake kernel; the real system call only for its errors."""

import errno
import os
from itertools import pairwise

import pytest

from frugalblas.energy import CounterFault, Meter, Reason
from frugalblas.energy.perf import LinuxKernel, PerfEvent, cpu_list
from frugalblas.energy.testing import FakeClock, FakePerf


@pytest.fixture
def pmu(tmp_path):
    return FakePerf(tmp_path / "sys", FakeClock(), cpus=(0, 28))


def test_joules_of_two_packages(pmu):
    source = pmu.source()
    assert [(z.domain, z.socket, z.modulus_uj) for z in source.zones] == [
        ("package", 0, None),
        ("dram", 0, None),
        ("package", 1, None),
        ("dram", 1, None),
    ]
    with Meter(sources=[source], clock=pmu.clock, every=pmu.clock.every) as meter, meter.region("r") as r:
        pmu.advance(3.0, {"energy-pkg:cpu0": 80.0, "energy-pkg:cpu28": 60.0, "energy-ram": 5.0})
    assert r.gross.value == pytest.approx(450.0, abs=4 * 62e-6)
    assert r.flags == frozenset()


def test_events_of_a_package_are_read_at_one_instant(pmu):
    samples = pmu.source().read()
    assert samples["perf:energy-pkg:cpu0"].t_ns == samples["perf:energy-ram:cpu0"].t_ns


def test_a_reader_comes_every_thirty_seconds(pmu):
    source = pmu.source()
    reads = []
    pmu_read = pmu.read
    pmu.read = lambda descriptor, size: (reads.append(pmu.clock()), pmu_read(descriptor, size))[1]
    with Meter("cpu", sources=[source], clock=pmu.clock, every=pmu.clock.every) as meter, meter.region("r") as r:
        pmu.advance(600.0, {"energy-pkg": 400.0})
    assert max(later - sooner for sooner, later in pairwise(reads)) == 30 * 10**9
    assert r.gross.value == pytest.approx(480_000, abs=1e-3)


def test_policy_refuses(tmp_path):
    source = FakePerf(tmp_path, paranoid=2).source()
    assert {zone.reason for zone in source.zones} == {Reason.NO_PERMISSION}
    assert source.reason is Reason.NO_PERMISSION
    assert "perf_event_paranoid" in source.hint
    assert source.read(["perf:energy-pkg:cpu0"])["perf:energy-pkg:cpu0"].args == ("the counter is not open",)


def test_an_event_the_kernel_does_not_know(pmu):
    del pmu.configs[0x03]
    zones = {zone.id: zone for zone in pmu.source().zones}
    assert zones["perf:energy-ram:cpu0"].reason is Reason.NOT_SUPPORTED
    assert os.strerror(errno.EINVAL) in zones["perf:energy-ram:cpu0"].hint
    assert zones["perf:energy-pkg:cpu0"].reason is Reason.OK


def test_a_failed_read_is_a_fault(pmu):
    with Meter(sources=[pmu.source()], clock=pmu.clock, every=pmu.clock.every) as meter, meter.region("r") as r:
        pmu.advance(1.0, {"energy-pkg": 50.0, "energy-ram": 3.0})
        pmu.error = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(CounterFault, match="Input/output error"):
        r.gross  # noqa: B018


@pytest.mark.parametrize("data", [b"", b"\0" * 24, b"\1" + b"\0" * 39])
def test_an_incomplete_group_is_a_fault(pmu, data):
    source = pmu.source()
    pmu.read = lambda descriptor, size: data
    assert all(isinstance(sample, OSError) for sample in source.read().values())


def test_close_closes_every_event_once(pmu):
    source = pmu.source()
    assert pmu.open_descriptors == 4
    source.close()
    source.close()
    assert pmu.open_descriptors == 0
    assert all(isinstance(sample, OSError) for sample in source.read(["perf:energy-pkg:cpu0"]).values())


def test_events_close_with_their_source(pmu):
    source = pmu.source()
    del source
    assert pmu.open_descriptors == 0


def test_powercap_is_preferred_and_perf_is_the_second_route(tmp_path, fake_machine):
    machine = fake_machine("intel-1s")
    pmu = FakePerf(machine.root, machine.clock)
    for denied, expected in ((False, "intel-rapl:0"), (True, "perf:energy-pkg:cpu0")):
        if denied:
            machine.deny("package-0")
        with machine.meter("cpu", machine.sources(perf=pmu)) as meter, meter.region("r") as r:
            machine.advance(0.5, {"package-0": 50.0})
            pmu.advance(0.5, {"energy-pkg": 50.0})
        assert list(r.per_zone) == [expected]


def test_no_pmu(tmp_path):
    (tmp_path / "cpuinfo").write_text("vendor_id : GenuineIntel\nflags : fpu hypervisor\n")
    source = PerfEvent(str(tmp_path), str(tmp_path))
    assert (source.reason, list(source.zones), source.read()) == (Reason.VM_NO_RAPL, [], {})


def test_cpu_list():
    assert cpu_list("0,28") == [0, 28]
    assert cpu_list("0-2,8") == [0, 1, 2, 8]
    assert cpu_list("") == []


@pytest.mark.parametrize(("type", "cpu"), [(0x7FFFFFFF, 0), (1, 1 << 30)])
def test_the_real_system_call_reports_its_errno(type, cpu):
    with pytest.raises(OSError, match=r"\[Errno \d+\]") as caught:
        LinuxKernel().open(type, 0, cpu, -1)
    assert caught.value.errno in (errno.ENOENT, errno.ENODEV, errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOSYS)
