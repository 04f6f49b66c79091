"""The doctor: what can be measured, and if not, exactly why."""

import json

import pytest

from frugalblas.energy import doctor, probe
from frugalblas.energy.testing import LAYOUTS, FakeNvml, FakePerf, FakePowercap


def loaded(machine, watts=40.0):
    """Every register moves."""
    for number, zone in enumerate(dict.fromkeys(zone.name for zone in machine.layout.zones)):
        machine.advance(0, {zone: watts + number})
    return machine


def zone_facts(report):
    return {zone["id"]: zone for source in report.json()["sources"] for zone in source["zones"]}


@pytest.mark.parametrize(
    ("layout", "code", "verdict"),
    [
        ("intel-1s", 0, "ok"),
        ("intel-2s-psys", 0, "ok"),
        ("intel-die", 0, "ok"),
        ("spr-psys", 0, "ok"),
        ("mmio", 0, "ok"),
        ("amd-1s", 0, "ok"),
        ("amd-die", 0, "ok"),
        ("masked", 4, "container-masked"),
        ("vm", 4, "vm-no-rapl"),
        ("no-driver", 4, "driver-missing"),
    ],
)
def test_every_layout(fake_machine, layout, code, verdict):
    report = loaded(fake_machine(layout)).doctor()
    assert report.exit_code == code
    assert verdict in report.verdict
    assert json.loads(json.dumps(report.json()))["exit_code"] == code
    assert report.verdict in report.text()
    assert len([line for line in report.findings if "inconsistent" in line]) == 0


def test_the_layouts_tested_are_all_there_are():
    (mark,) = (mark for mark in test_every_layout.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in mark.args[1]} == set(LAYOUTS)


def test_what_the_probe_saw(fake_machine):
    facts = zone_facts(loaded(fake_machine("amd-1s")).doctor())["intel-rapl:0"]
    assert facts["tick_s"] == pytest.approx(1e-3)
    assert facts["watts"] == pytest.approx(40.0, rel=0.03)
    assert facts["step_uj"] == pytest.approx(40_000, rel=0.01)
    assert facts["lsb_uj"] == pytest.approx(15.258)
    assert facts["wraps_after_s"] == pytest.approx(65532.6 / 40, rel=0.03)
    assert facts["read_every_s"] == pytest.approx(65.5326 / 2, rel=1e-3)
    assert facts["latency_s"] == 0.0  # reads take no simulated time


def test_a_slow_counter_is_read_slowly_and_its_tick_found():
    fake = FakeNvml()
    fake.advance(0, {0: 300.0})
    source = fake.source()
    seen = probe([source], 2.0, clock=fake.clock, sleep=fake.clock.sleep)["nvml:GPU-fake-0"]
    assert seen.tick_s == pytest.approx(0.1)
    assert seen.reads == pytest.approx(200, abs=5)  # every 10 ms
    assert seen.watts == pytest.approx(300.0, rel=0.1)


def test_dead_and_failing_counters(fake_machine):
    machine = loaded(fake_machine())
    machine.freeze("dram")
    machine.fail("core")
    facts = zone_facts(machine.doctor())
    assert facts["intel-rapl:0:2"]["reason"] == "dead"
    assert facts["intel-rapl:0:2"]["watts"] is None  # not 0
    assert facts["intel-rapl:0:0"]["reason"] == "dead"
    assert "Input/output error" in facts["intel-rapl:0:0"]["hint"]
    assert facts["intel-rapl:0"]["reason"] == "ok"


def test_a_dead_package_is_no_cpu_source(fake_machine):
    machine = loaded(fake_machine())
    machine.freeze("package-0")
    report = machine.doctor()
    assert report.exit_code == 4
    assert "dead" in report.verdict
    assert not report.scopes["cpu"]["usable"]
    assert "dead" in report.scopes["cpu"]["missing"][0]


def test_a_coarse_counter_is_not_called_dead_too_soon(fake_machine):
    machine = loaded(fake_machine("spr-psys"), 4.0)  # psys steps by whole joules
    assert zone_facts(machine.doctor())["intel-rapl:1"]["reason"] == "ok"


def test_a_counter_that_fails_now_and_then_is_inconsistent(fake_machine):
    machine = loaded(fake_machine())
    sources = machine.sources()
    machine.fail("package-0", times=1)
    assert zone_facts(machine.doctor(sources))["intel-rapl:0"]["reason"] == "inconsistent"


def test_permission(fake_machine):
    machine = loaded(fake_machine("amd-1s"))
    machine.deny("package-0")
    machine.deny("core")
    report = machine.doctor()
    assert report.exit_code == 4
    assert "no-permission" in report.verdict
    assert "CVE-2020-8694" in report.text()
    assert "a+r" not in report.text()


def test_permission_with_perf_as_the_second_route(fake_machine):
    machine = loaded(fake_machine("amd-1s"))
    machine.deny("package-0")
    pmu = FakePerf(machine.root, machine.clock, events=["energy-pkg"])
    pmu.advance(0, {"energy-pkg": 40.0})
    report = machine.doctor(machine.sources(perf=pmu))
    assert report.exit_code == 0
    assert report.scopes["cpu"]["zones"] == ["perf:energy-pkg:cpu0"]


def test_gpu_only(fake_machine):
    machine = fake_machine("vm")
    fake = FakeNvml(machine.clock)
    fake.advance(0, {0: 300.0})
    report = machine.doctor(machine.sources(nvml=fake), probe_s=1.0)
    assert report.exit_code == 3
    assert "vm-no-rapl" in report.verdict
    assert "gpu" in report.verdict
    assert report.scopes["gpu"]["usable"]


def test_a_gpu_without_counter_says_so(fake_machine):
    machine = fake_machine("vm")
    fake = FakeNvml(machine.clock)
    fake.energy_error[0] = fake.power_error[0] = 3
    report = machine.doctor(machine.sources(nvml=fake))
    assert report.exit_code == 4
    assert zone_facts(report)["nvml:GPU-fake-0"]["reason"] == "not-supported"


def test_sources_that_disagree(fake_machine):
    machine = loaded(fake_machine("amd-1s"))
    pmu = FakePerf(machine.root, machine.clock, events=["energy-pkg"])
    pmu.advance(0, {"energy-pkg": 44.0})
    report = machine.doctor(machine.sources(perf=pmu), probe_s=0.2)
    (finding,) = report.findings
    assert finding.startswith("inconsistent: powercap and perf differ by 9")
    pmu.advance(0, {"energy-pkg": 40.0})
    assert not machine.doctor(machine.sources(perf=pmu), probe_s=0.2).findings


def test_dies_that_do_not_behave_as_the_vendor_says(fake_machine):
    machine = fake_machine("intel-die")
    machine.advance(0, {"package-0-die-0": 40.0, "package-0-die-1": 40.0})
    (finding,) = machine.doctor().findings
    assert "should be counters of their own" in finding


def test_energy_filtering_is_mentioned(fake_machine):
    machine = loaded(fake_machine())
    (machine.root / "proc" / "cpuinfo").write_text("vendor_id : GenuineIntel\nflags : fpu sgx\n")
    assert any("SGX" in line for line in machine.doctor().findings)


def test_machine_facts(fake_machine):
    machine = fake_machine("vm")
    (machine.root / "proc" / "sys" / "kernel").mkdir(parents=True)
    (machine.root / "proc" / "sys" / "kernel" / "perf_event_paranoid").write_text("-1\n")
    facts = machine.doctor().json()["machine"]
    assert (facts["hypervisor"], facts["perf_event_paranoid"], facts["vendor"]) == (True, -1, "AuthenticAMD")


def test_from_files_alone(tmp_path):
    """As the command line does it: discovery on another root, nothing probed."""
    FakePowercap(tmp_path / "sys", "intel-2s-psys")
    report = doctor(sysfs_root=tmp_path / "sys", nvml=False, probe_s=0)
    assert report.exit_code == 0
    assert report.scopes["platform"] == {"usable": True, "zones": ["intel-rapl:1"], "flags": [], "missing": []}
    FakePowercap(tmp_path / "vm", "vm")
    assert doctor(sysfs_root=tmp_path / "vm", nvml=False).exit_code == 4


def test_the_doctor_of_this_machine_answers():
    report = doctor(probe_s=0)
    assert report.exit_code in (0, 3, 4)
    assert {source["name"] for source in report.json()["sources"]} == {"powercap", "perf", "nvml", "amdsmi"}
    assert json.dumps(report.json())
