"""A machine for tests of the protocol: counters on an injected clock, power that heats up, a team that spins."""

from fractions import Fraction

from frugalblas.energy import Meter, Reason, Sample, Zone
from frugalblas.energy.conditions import CpuTime, State
from frugalblas.energy.testing import FakeClock, FakeCounter


class Counters:
    """A Source of exact counters."""

    def __init__(self, clock, domains=("package",), *, tick_s=1e-3, lsb_uj=61, provenance=None):
        self.name, self.reason, self.hint = "simulated", Reason.OK, ""
        self.clock = clock
        self.registers = {
            f"sim:{domain}": FakeCounter(clock, lsb_uj=Fraction(lsb_uj), tick_s=tick_s, modulus=2**32)
            for domain in domains
        }
        self.zones = [
            Zone(f"sim:{d}", d, 0, "powercap", 2**32 * lsb_uj, lsb_uj, tick_s=tick_s, **(provenance or {}))
            for d in domains
        ]
        self.errors = {}  # zone id: how many reads from now on fail

    def read(self, ids=None):
        found = {}
        for id, register in self.registers.items():
            if ids is None or id in ids:
                if self.errors.get(id, 0) > 0:
                    self.errors[id] -= 1
                    found[id] = OSError(5, "Input/output error")
                else:
                    found[id] = Sample(self.clock(), int(register.steps * register.lsb_uj))
        return found

    def close(self):
        pass


class World:
    """Stands in for Machine: its `work` draws power for a while, its `sleep` draws idle power."""

    def __init__(self, idle_w=20.0, *, cpus=4, **counters):
        self.clock = FakeClock()
        self.idle_w, self.cpus = idle_w, cpus
        self.source = Counters(self.clock, **counters)
        self.own_s = 0.0  # CPU time of this process
        self.others = 0.0  # CPUs that other processes keep busy
        self.spin_s = 0.0  # how long a team spins after work
        self._spinning_until_ns = 0
        self.celsius = None
        self.throttled = 0
        self.flushes = 0
        self.looking_w = 0.0  # what reading the state of many CPUs draws, for 5 ms
        self.log = []  # ("work" or "sleep", seconds)

    def meter(self, scope="cpu", **options):
        return Meter(scope, sources=[self.source], clock=self.clock, every=self.clock.every, **options)

    def power(self, watts):
        for register in self.source.registers.values():
            register.watts = Fraction(watts)

    def work(self, watts, seconds):
        """A case: draws `watts` (a number, or a function of the time since the start in s) for `seconds` a call."""

        def call():
            self.power(watts(self.clock() / 1e9 - 1.0) if callable(watts) else watts)
            self.clock.advance(seconds)
            self.own_s += seconds
            self._spinning_until_ns = self.clock() + round(self.spin_s * 1e9)
            self.log.append(("work", seconds))

        return call

    # ---- what the protocol uses

    def sleep(self, seconds):
        spinning_s = min(seconds, max(0, self._spinning_until_ns - self.clock()) / 1e9)
        self.power(self.idle_w + (50.0 if spinning_s else 0.0))
        self.clock.advance(spinning_s)
        self.own_s += spinning_s
        self.power(self.idle_w)
        self.clock.advance(seconds - spinning_s)
        self.log.append(("sleep", seconds))

    def every(self, seconds, call):
        return self.clock.every(seconds, call)

    def flush_caches(self):
        self.flushes += 1

    def cpu_time(self):
        return CpuTime(self.own_s + self.others * self.clock() / 1e9, self.own_s)

    def state(self):
        self.power(self.looking_w)
        self.clock.advance(0.005 if self.looking_w else 0.0)
        return State(temperature_c=self.celsius, throttle_events=self.throttled, governor="performance")
