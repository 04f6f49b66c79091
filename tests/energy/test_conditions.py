"""What is read of the machine beside its counters."""

import pytest

from frugalblas.energy.conditions import CpuTime, Machine, State, foreign_share


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


@pytest.fixture
def machine(tmp_path):
    sys, proc = tmp_path / "sys", tmp_path / "proc"
    for cpu, khz in enumerate((2_000_000, 3_000_000)):
        write(sys, f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", khz)
        write(sys, f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", "powersave")
        write(sys, f"devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count", 3 + cpu)
    write(sys, "class/hwmon/hwmon0/name", "nvme")
    write(sys, "class/hwmon/hwmon0/temp1_input", 90_000)
    write(sys, "class/hwmon/hwmon1/name", "k10temp")
    write(sys, "class/hwmon/hwmon1/temp1_input", 55_125)
    write(sys, "class/thermal/thermal_zone0/type", "x86_pkg_temp")
    write(sys, "class/thermal/thermal_zone0/temp", 57_000)
    write(sys, "devices/system/cpu/cpu0/cache/index3/size", "1024K")
    write(proc, "loadavg", "0.52 0.40 0.30 1/300 4242")
    write(proc, "stat", "cpu  1000 200 300 90000 50 10 40 7 5 0\ncpu0 1 2 3 4 5 6 7 8 9 10")
    return Machine(sys, proc)


def test_state_of_a_linux_machine(machine):
    assert machine.state() == State(2500.0, "powersave", 57.0, 7, 0.52)
    assert machine.state().as_dict()["temperature_c"] == 57.0


def test_cpu_time_leaves_out_idle_and_guests_counted_twice(machine, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    assert machine.cpu_time().all_s == pytest.approx((1000 + 200 + 300 + 10 + 40) / 100)
    assert machine.cpu_time().own_s > 0


def test_what_a_machine_does_not_tell_is_none(tmp_path):
    silent = Machine(tmp_path, tmp_path)
    assert silent.state() == State(None, None, None, None, None)
    assert silent.cpu_time().all_s is None


def test_garbage_is_not_a_number(machine, tmp_path):
    write(tmp_path / "sys", "class/thermal/thermal_zone0/temp", "garbage")
    write(tmp_path / "sys", "class/hwmon/hwmon1/temp1_input", "")
    write(tmp_path / "proc", "stat", "cpu 1 2")
    assert machine.state().temperature_c is None
    assert machine.cpu_time().all_s is None


def test_flushing_touches_twice_the_largest_cache(machine):
    machine.flush_caches()
    assert len(machine._buffer) == 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("before", "after", "seconds", "expected"),
    [
        (CpuTime(10.0, 5.0), CpuTime(14.0, 6.0), 1.0, 0.75),
        (CpuTime(10.0, 5.0), CpuTime(11.0, 7.0), 1.0, 0.0),  # the two clocks tick differently: never negative
        (CpuTime(None, 5.0), CpuTime(11.0, 6.0), 1.0, None),
        (CpuTime(10.0, 5.0), CpuTime(None, 6.0), 1.0, None),
        (CpuTime(10.0, 5.0), CpuTime(14.0, 6.0), 0.01, None),  # shorter than the kernel counts
    ],
)
def test_foreign_share_of_four_cpus(before, after, seconds, expected):
    assert foreign_share(before, after, seconds, 4) == expected
