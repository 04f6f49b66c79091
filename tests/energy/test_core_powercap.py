"""RAPL in sysfs: wraps, zones, overlaps, and every way a counter can be missing."""

import errno

import pytest

from frugalblas.energy import BelowResolution, CounterFault, EnergyUnavailable, Reason, select
from frugalblas.energy.counter import difference
from frugalblas.energy.powercap import Powercap, cpu_facts
from frugalblas.energy.testing import AMD, INTEL, FakePerf, FakeZone, Layout
from frugalblas.energy.zones import Sample


def zones(machine):
    return {zone.id: zone for source in machine.sources() for zone in source.zones}


@pytest.mark.parametrize(("layout", "largest", "lsb"), [("intel-1s", 262143328850, 61), ("amd-1s", 65532610987, 15)])
def test_vector_01_wrap(fake_machine, layout, largest, lsb):
    machine = fake_machine(layout)
    assert int((machine.directory("intel-rapl:0") / "max_energy_range_uj").read_text()) == largest
    zone = zones(machine)["intel-rapl:0"]
    assert zone.modulus_uj == largest + lsb
    step, problem = difference(zone, Sample(0, largest - 50), Sample(10**6, 100))
    assert not problem
    assert step == 150 + lsb


def test_vector_01_wrap_in_a_region(fake_machine):
    machine = fake_machine()
    machine.set_energy("package-0", 262143328800)
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0": 50.0})
    assert machine.sources()[0].read(["intel-rapl:0"])["intel-rapl:0"].energy_uj < 50_000_000  # it did wrap
    assert r.gross.value == pytest.approx(50.0, abs=2 * 61e-6)


def test_vector_01_only_dram_wraps(fake_machine):
    machine = fake_machine("intel-2s-psys")
    machine.set_energy("intel-rapl:0:0", 65712999000)  # its range is a quarter of the package's
    with machine.meter() as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0": 50.0, "package-1": 60.0, "dram": 7.0})
    energies = {id: energy.value for id, energy in r.per_zone.items()}
    assert energies == pytest.approx(
        {"intel-rapl:0": 50, "intel-rapl:2": 60, "intel-rapl:0:0": 7, "intel-rapl:2:0": 7}, abs=2e-4
    )


def test_vector_02_no_tick_is_below_resolution(fake_machine):
    machine = fake_machine()
    machine.advance(1.0, {"package-0": 50.0})
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(0.0004)
    with pytest.raises(BelowResolution, match="did not tick") as caught:
        r.gross  # noqa: B018
    assert 0.02 < caught.value.upper_bound_j < 1.0  # truly 0.02 J
    assert 0 < caught.value.needed_s < 0.01
    assert r.per_zone == {}
    assert "below-resolution" in r.flags
    assert r.as_dict()["gross"] is None


def test_a_single_tick_is_below_resolution_too(fake_machine):
    machine = fake_machine()
    machine.advance(1.0005, {"package-0": 50.0})
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(0.0006)
    with pytest.raises(BelowResolution, match="cannot be told from zero"):
        r.gross  # noqa: B018
    assert r.per_zone["intel-rapl:0"].value == pytest.approx(0.05, rel=0.01)  # one tick's worth, and its u says so
    assert r.per_zone["intel-rapl:0"].u > 0.02


def test_vector_03_a_failed_read_spoils_the_window_and_only_that(fake_machine):
    machine = fake_machine()
    machine.set_energy("package-0", 1000)  # so close to 0 that a "0 J" reading would look like a wrap
    meter = machine.meter("cpu")
    with meter.region("before") as before:
        machine.advance(1.0, {"package-0": 50.0})
    with meter.region("during") as during:
        machine.advance(1.0)
        machine.fail("package-0", times=1)
        with meter.region("inner") as inner:
            machine.advance(1.0)
    with meter.region("after") as after:
        machine.advance(1.0)
    for reading in (during, inner):
        with pytest.raises(CounterFault, match="Input/output error"):
            reading.gross  # noqa: B018
        assert reading.flags == {"fault"}
        assert reading.time.value > 0
    for reading in (before, after):
        assert reading.gross.value == pytest.approx(50.0, abs=2e-4)
    assert [reading.name for reading in meter.readings] == ["before", "inner", "during", "after"]


def test_vector_04_without_a_range_a_step_back_is_refused(fake_machine):
    machine = fake_machine()
    (machine.directory("intel-rapl:0") / "max_energy_range_uj").unlink()
    machine.set_energy("package-0", 262143328800 - 30_000_000)
    with machine.meter("cpu") as meter:
        assert meter.zones[0].modulus_uj is None
        with meter.region("forward") as forward:
            machine.advance(0.5, {"package-0": 50.0})
        with meter.region("back") as back:
            machine.advance(1.0)
    assert forward.gross.value == pytest.approx(25.0, abs=2e-4)
    with pytest.raises(CounterFault, match="went back"):
        back.gross  # noqa: B018


def test_vector_05_psys_is_in_no_sum(fake_machine):
    machine = fake_machine("intel-2s-psys")
    found = zones(machine)
    assert [(z.domain, z.socket) for z in found.values()] == [
        ("package", 0),
        ("dram", 0),
        ("psys", None),
        ("package", 1),
        ("dram", 1),
    ]
    chosen = {
        scope: {z.id for z in select(machine.sources(), scope).zones} for scope in ("cpu", "cpu+dram", "platform")
    }
    assert chosen["cpu"] == {"intel-rapl:0", "intel-rapl:2"}
    assert chosen["cpu+dram"] == {"intel-rapl:0", "intel-rapl:2", "intel-rapl:0:0", "intel-rapl:2:0"}
    assert chosen["platform"] == {"intel-rapl:1"}
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0": 50.0, "package-1": 60.0, "psys": 300.0})
    assert r.gross.value == pytest.approx(110.0, abs=3e-4)


def test_vector_06_mirrored_dies_count_once(fake_machine):
    machine = fake_machine("amd-die")
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0-die-0": 70.0})
    assert r.gross.value == pytest.approx(70.0, abs=1e-4)
    assert r.flags == {"mirrored"}
    assert zones(machine)["intel-rapl:1"].reason is Reason.MIRRORED


def test_vector_06_dies_with_counters_of_their_own_are_summed(fake_machine):
    machine = fake_machine("intel-die")
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0-die-0": 70.0, "package-0-die-1": 50.0})
    assert r.gross.value == pytest.approx(120.0, abs=2e-4)
    assert r.flags == frozenset()


def test_vector_07_mmio_is_a_stand_in(fake_machine):
    machine = fake_machine("mmio")
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0": 70.0})
    assert list(r.per_zone) == ["intel-rapl:0"]
    assert r.gross.value == pytest.approx(70.0, abs=1e-4)
    machine.deny("intel-rapl:0")
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0)
    assert list(r.per_zone) == ["intel-rapl-mmio:0"]
    assert r.gross.value == pytest.approx(70.0, abs=1e-4)


def test_vector_07_zone_numbers_are_hexadecimal(fake_machine):
    machine = fake_machine(
        Layout("GenuineIntel", tuple(FakeZone(f"intel-rapl:{i:x}", f"package-{i}") for i in range(18)))
    )
    assert list(zones(machine))[9:12] == ["intel-rapl:9", "intel-rapl:a", "intel-rapl:b"]
    assert zones(machine)["intel-rapl:11"].socket == 17
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {f"package-{i}": 10.0 for i in range(18)})
    assert r.gross.value == pytest.approx(180.0, abs=3e-3)


def test_vector_08_mask_permission_and_vm_are_told_apart(fake_machine):
    denied = fake_machine()
    denied.deny("package-0")
    denied.deny("core")
    denied.deny("uncore")
    denied.deny("dram")
    reasons = {}
    for name, machine in {
        "masked": fake_machine("masked"),
        "denied": denied,
        "vm": fake_machine("vm"),
        "no-driver": fake_machine("no-driver"),
    }.items():
        source = machine.sources()[0]
        reasons[name] = source.reason
        with pytest.raises(EnergyUnavailable, match=source.reason.code):
            machine.meter("cpu")
    assert reasons == {
        "masked": Reason.CONTAINER_MASKED,
        "denied": Reason.NO_PERMISSION,
        "vm": Reason.VM_NO_RAPL,
        "no-driver": Reason.DRIVER_MISSING,
    }


def test_the_fix_for_a_permission_names_its_risk(fake_machine):
    machine = fake_machine("amd-1s")
    machine.deny("package-0")
    with pytest.raises(EnergyUnavailable, match=r"PLATYPUS.*CVE-2020-8694"):
        machine.meter("cpu")


def test_vector_09_steps_of_power_give_the_exact_difference(fake_machine):
    machine = fake_machine()
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(2.0, {"package-0": 10.0})
        machine.advance(2.0, {"package-0": 100.0})
    assert r.gross.value == pytest.approx(220.0, abs=61e-6)


@pytest.mark.parametrize("unit", [INTEL, AMD])
def test_the_step_follows_from_the_range(fake_machine, unit):
    machine = fake_machine(Layout("GenuineIntel", (FakeZone("intel-rapl:0", "package-0", unit),)))
    assert zones(machine)["intel-rapl:0"].lsb_uj == pytest.approx(float(unit), rel=1e-9)


def test_a_denied_socket_is_not_left_out_in_silence(fake_machine):
    machine = fake_machine("intel-2s-psys")
    machine.deny("package-1")
    with pytest.raises(EnergyUnavailable, match="package-1"):
        machine.meter("cpu")


def test_a_backend_that_sees_one_socket_of_two_is_no_substitute(fake_machine):
    machine = fake_machine("intel-2s-psys")
    machine.deny("package-1")
    pmu = FakePerf(machine.root, machine.clock, cpus=[0])
    with pytest.raises(EnergyUnavailable, match="perf: covers only some of the sockets"):
        machine.meter("cpu", machine.sources(perf=pmu))


def test_a_zone_listed_twice_is_found_once(fake_machine):
    machine = fake_machine("intel-2s-psys")  # sub-zones are links in the class directory, and inside their parents
    assert len(machine.sources()[0].zones) == 5
    (machine.root / "class" / "powercap" / "intel-rapl:2:0").unlink()  # now only inside its parent
    assert zones(machine)["intel-rapl:2:0"].socket == 1


@pytest.mark.parametrize("text", [b"", b"\n", b"12 34", b"-5\n", b"0x10\n"])
def test_garbage_in_the_file_is_a_fault(fake_machine, text, monkeypatch):
    machine = fake_machine()
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0, {"package-0": 50.0})
        monkeypatch.setattr(machine, "_read", lambda zone: text)
    with pytest.raises(CounterFault, match="not a number"):
        r.gross  # noqa: B018


def test_a_zone_that_vanishes(fake_machine):
    machine = fake_machine()
    opened, opens = [], machine.open
    machine.open = lambda path, *args, **kwargs: (opened.append(str(path)), opens(path, *args, **kwargs))[1]
    with machine.meter("cpu") as meter:
        opened.clear()
        with meter.region("r") as r:
            machine.advance(1.0, {"package-0": 50.0})
            machine.fail("package-0", OSError(errno.ENODEV, "No such device"), times=1)
        with pytest.raises(CounterFault, match="No such device"):
            r.gross  # noqa: B018
        with meter.region("again") as again:  # the driver came back: its file is opened afresh
            machine.advance(1.0)
    assert again.gross.value == pytest.approx(50.0, abs=2e-4)
    assert len(opened) == 1
    assert opened[0].endswith("intel-rapl:0/energy_uj")


def test_a_frozen_counter_is_not_zero_joules(fake_machine):
    machine = fake_machine()
    machine.advance(1.0, {"package-0": 50.0, "dram": 3.0})
    machine.freeze("dram")
    with machine.meter() as meter, meter.region("r") as r:
        machine.advance(5.0)
    with pytest.raises(CounterFault, match="frozen or dead"):
        r.gross  # noqa: B018
    assert r.per_zone["intel-rapl:0"].value == pytest.approx(250.0, abs=1e-3)  # what was measured is not lost
    assert "dram" in r.faults["intel-rapl:0:2"]


def test_an_impossible_jump_is_a_fault(fake_machine):
    machine = fake_machine()
    machine.advance(1.0, {"package-0": 50.0})
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0)
        machine.set_energy("package-0", 10**11)  # 100 kJ in a second
    with pytest.raises(CounterFault, match="more than it can draw"):
        r.gross  # noqa: B018


def test_a_step_back_is_not_taken_for_a_wrap(fake_machine):
    machine = fake_machine()
    machine.advance(10.0, {"package-0": 50.0})
    with machine.meter("cpu") as meter, meter.region("r") as r:
        machine.advance(1.0)
        machine.set_energy("package-0", 1000)  # reset: the modulus would make 262 kJ of it
    with pytest.raises(CounterFault, match="more than it can draw"):
        r.gross  # noqa: B018


def test_files_of_a_fake_can_be_read_without_it(fake_machine):
    machine = fake_machine()
    source = Powercap(str(machine.root), str(machine.root / "proc"))
    machine.advance(1.0, {"package-0": 50.0})
    first = source.read(["intel-rapl:0"])["intel-rapl:0"].energy_uj
    machine.advance(1.0)
    assert source.read(["intel-rapl:0"])["intel-rapl:0"].energy_uj - first == pytest.approx(50_000_000, abs=100)
    source.close()
    source.close()
    assert set(source.read()) == {"intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:0:2"}
    source.close()


def test_cpu_facts(tmp_path):
    assert cpu_facts(str(tmp_path)).vendor == "unknown"
    (tmp_path / "cpuinfo").write_text("Features : fp asimd\nCPU implementer : 0x41\n")
    assert cpu_facts(str(tmp_path)) == ("", False, False)
    assert Powercap(str(tmp_path), str(tmp_path)).reason is Reason.NOT_SUPPORTED
    (tmp_path / "cpuinfo").write_text("vendor_id : HygonGenuine\nflags : fpu hypervisor sgx\n")
    assert cpu_facts(str(tmp_path)) == ("HygonGenuine", True, True)


def test_a_node_may_draw_more_than_a_socket(fake_machine):
    machine = fake_machine("intel-2s-psys")
    with machine.meter("platform") as meter, meter.region("r") as r:
        machine.advance(600.0, {"psys": 3000.0})
    assert r.gross.value == pytest.approx(1_800_000.0, abs=1e-2)
