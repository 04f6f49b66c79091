"""A result with every study in it, from samples that are made up and joules of the simulated counters."""

import functools
import json
import math
import random
import sys
from pathlib import Path

from frugalblas.bench import plan
from frugalblas.bench.cases import Case, Size, Strategy
from frugalblas.energy.protocol import compare

sys.path.insert(0, str(Path(__file__).parent / "energy"))
from simulated import World

STRATEGIES = [  # name, course, kind, GFLOP/s of one thread, watts
    ("python", "Python", "interpreted", 0.004, 60.0),
    ("numba", "Python", "interpreted", 1.6, 62.0),
    ("naive", "v1", "scalar", 1.7, 64.0),
    ("transposed", "v3", "scalar", 34.0, 75.0),
    ("vector", "v4", "vector", 44.0, 76.0),
    ("microkernel", "v5", "vector", 90.0, 84.0),
    ("blocked", "v6", "vector", 112.0, 90.0),
    ("openmp", "OpenMP", "team", 111.0, 90.0),
    ("openblas", "reference", "passthrough", 107.0, 91.0),
]
SPEED = {name: gflops for name, _, _, gflops, _ in STRATEGIES}
WATTS = {name: watts for name, _, _, _, watts in STRATEGIES}
PEAK_GFLOPS, IDLE_WATTS, CPUS = 117.0, 45.0, 8
FACTS = {
    "version": "0.1.0",
    "cpu": {"model": "Made-up CPU", "cpus": CPUS, "cache_bytes": {"l1d": 32768, "l2": 1048576, "l3": 33554432}},
    "variant": "v4",
    "openblas": {"config": "OpenBLAS 0.3.31 made up"},
    "python": "3.11",
    "numpy": "2.4",
    "platform": "nowhere",
}
STUDIES = [
    ("ladder", "The ladder", "What does each optimisation bring on this machine?", "1-5"),
    ("sizes", "Sizes", "How fast is each strategy from small products to large ones?", "6-7"),
    ("threads", "Threads", "What do more threads bring, and what do they cost?", "28-34"),
    ("flags", "Compiler flags", "What are compiler flags worth?", "9-20"),
    ("blocks", "Block sizes", "Which block sizes suit this machine?", "24-26"),
    ("shapes", "Shapes", "Which strategy suits which shape?", ""),
    ("gpu", "The GPU", "What does copying cost?", "35-39"),
    ("precision", "Precision", "What does an error cost?", ""),
    ("power", "Power", "What does the machine draw around a run?", "1-2"),
    ("roofline", "Roofline", "What limits each strategy?", ""),
]


class Card:
    def __init__(self, name, course, kind):
        self.name, self.course, self.kind, self.summary = name, course, kind, "a rung"
        self.variants, self.available, self.reason = (), True, None


class Maker:
    """Collects cases; noise and start times come from a seed."""

    def __init__(self, seed=1, slow_down=1.0):
        self.cards = [Card(name, course, kind) for name, course, kind, _, _ in STRATEGIES]
        nothing = plan.Plan(cards=self.cards, cases=[], seconds=60.0, seed=seed)
        self.result = plan.blank_result(nothing, FACTS, {"commit": "0123456789abcdef", "modified": False})
        self.result.pop("studies")
        self.result["energy"] = {"source": None, "reason": "no counters: this machine is made up"}
        self.result |= {"elapsed_seconds": 61.0, "started": "2026-01-02T03:04:05+00:00", "load_average": [0.1]}
        self._random, self._slow_down, self._clock = random.Random(seed), slow_down, 0.0

    def samples(self, seconds, count=9):
        found = [seconds * self._slow_down * (1 + abs(self._random.gauss(0, 0.02))) for _ in range(count)]
        started = [self._clock + i * 0.1 for i in range(count)]
        self._clock += 0.001
        return {"seconds": found, "started_seconds": started}

    def case(self, study, name, size, threads=1, speed=None, variant=None, **more):
        kind = next(card.kind for card in self.cards if card.name == name)
        size = size if isinstance(size, Size) else Size(size, size, size)
        record = plan.blank_record(Case(Strategy(name, variant), kind, size, threads))
        gflops = (speed or SPEED[name]) * threads**0.9 * size.edge / (size.edge + 40)
        record |= {"status": "ok", "error_u": 3.0 + 4 * self._random.random(), "study": study}
        record |= self.samples(size.flops / gflops / 1e9) | more
        self.result["cases"].append(record)
        return record

    def peak(self, study, size, threads=1):
        size = size if isinstance(size, Size) else Size(size, size, size)
        flops = 1e9
        peak = {"threads": threads, "M": size.M, "N": size.N, "K": size.K, "flops_per_sample": flops, "study": study}
        self.result["peaks"].append(peak | self.samples(flops / (PEAK_GFLOPS * threads) / 1e9))

    def joules(self, records):
        """Fill in the energy of some cases by the protocol, on a simulated counter."""
        world = World(idle_w=IDLE_WATTS)
        calls, flops = {}, {}
        for i, record in enumerate(records):
            watts = IDLE_WATTS + (WATTS[record["strategy"]] - IDLE_WATTS) * record["threads"] ** 1.05
            calls[str(i)] = world.work(watts, min(record["seconds"]))
            flops[str(i)] = 2.0 * record["M"] * record["N"] * record["K"]
        with world.meter() as meter:
            found = compare(
                calls,
                meter=meter,
                machine=world,
                flops=flops,
                seed=1,
                blocks=3,
                trace=False,
                max_seconds=1e5,
                probe_s=0.0,
                max_warmup_s=2.0,
            )
        source = "simulated counter, net of idle"
        for i, record in enumerate(records):
            net, power = found[str(i)].net, found[str(i)].power
            if net is None:
                continue
            record["joules_per_call"] = net.value
            record["energy"] = {
                "joules_per_call": net.value, "joules_per_call_u": net.u, "watts": power.value,
                "seconds": found[str(i)].time.value, "source": source, "calls": found[str(i)].calls,
            }  # fmt: skip
        self.result["energy"] = {"source": source, "reason": None}


def ladder(seed=1, slow_down=1.0, simulated=False):
    """The default study alone, as a file of the first version holds it: without the field `studies`."""
    return json.loads(_ladder(seed, slow_down, simulated))  # each caller may change its own


@functools.lru_cache
def _ladder(seed, slow_down, simulated):
    maker = Maker(seed, slow_down)
    for size in (128, 512, 1024):
        for name in SPEED:
            if name != "python" or size == 128:
                del maker.case("ladder", name, size)["study"]
        for threads in (1, CPUS):
            maker.peak("ladder", size, threads)
        for name in ("openmp", "openblas"):
            maker.case("ladder", name, size, CPUS)
    if simulated:
        maker.joules(
            [r for r in maker.result["cases"] if r["M"] == 1024 and r["strategy"] in ("naive", "blocked", "openblas")]
        )
    return json.dumps(maker.result)


@functools.lru_cache(maxsize=1)
def every_study():
    maker = Maker()
    case, result = maker.case, maker.result
    result["studies"] = [
        {"name": name, "title": title, "question": question, "course": course, "axis": "strategy", "notes": []}
        for name, title, question, course in STUDIES
    ]
    at_table = [case("ladder", name, 480) for name in SPEED]
    for name, size in ((n, s) for n in ("naive", "transposed", "blocked", "openblas") for s in range(96, 1921, 192)):
        case("sizes", name, size)
    for study in ("ladder", "sizes"):
        maker.peak(study, 480)
    team = [case("threads", "openmp", 960, t, speed=111.0 - 3 * max(0, t - CPUS)) for t in (1, 2, 4, 6, 8, 12)]
    for schedule in ("static", "dynamic, chunk 1", "guided"):
        for t in (1, 2, 4, 6, 8, 12):
            case("threads", "transposed", 960, t, speed=30.0 - len(schedule) / 4, series=schedule)
    for variant, gain in (("O0", 0.1), ("O1", 0.3), ("O2", 0.4), ("O3", 0.7), ("O3_native_fastmath_unroll", 1.0)):
        for name in ("naive", "transposed", "vector", "blocked"):
            case("flags", name, 1920, speed=SPEED[name] * gain, variant=variant)
    for mc, kc, nc in ((m, k, n) for m in (48, 96, 192, 384) for k in (128, 256, 512) for n in (1024, 4096)):
        fit = math.exp(-(math.log(mc * kc / 4e4) ** 2) / 8)
        case("blocks", "blocked", 1024, speed=112 * fit, parameters={"MC": mc, "KC": kc, "NC": nc})
    for shape in (Size(16, 1024, 1024), Size(1024, 1024, 16), Size(64, 64, 8192)):
        for name in ("blocked", "openmp", "openblas"):
            case("shapes", name, shape, speed=SPEED[name] * (0.5 if shape.M == 16 else 0.8))
    for where, speed in (("kernel", 9000.0), ("device", 8800.0), ("host", 900.0)):
        for size in (1024, 2048, 4096):
            case("gpu", "openblas", size, speed=speed, where=where)
    for precision, speed, error in (
        ("fp32", 100.0, 4.0),
        ("tf32", 400.0, 9e3),
        ("fp16", 800.0, 1e4),
        ("bf16", 790.0, 6e4),
    ):
        case("precision", "openblas", 2048, speed=speed, precision=precision, error_u=error)
    roof = [case("roofline", n, Size(s, s, s)) for n in ("transposed", "blocked") for s in (48, 96, 480, 1920)]
    for threads in (1, CPUS):
        maker.peak("roofline", 480, threads)
    for threads, gigabytes in ((1, 14.0), (CPUS, 40.0)):
        bandwidth = {"threads": threads, "what": "read", "bytes_per_sample": 1e9}
        result.setdefault("bandwidths", []).append(bandwidth | maker.samples(1 / gigabytes))
    maker.joules(at_table[2:] + team + roof)  # a call of the slowest ticks the simulated counter for long
    seconds = [i * 0.05 for i in range(240)]
    watts = [IDLE_WATTS + (40 * (1 - math.exp(-(s - 3) / 0.8)) if 3 < s < 9 else 0) + math.sin(9 * s) for s in seconds]
    marks = [{"name": n, "begin_seconds": b, "end_seconds": e} for n, b, e in (("idle", 0, 3), ("hot", 3, 9))]
    marks = [
        {**mark, "begin_seconds": float(mark["begin_seconds"]), "end_seconds": float(mark["end_seconds"])}
        for mark in marks
    ]
    source = "simulated counter"
    result["traces"] = [{"study": "power", "source": source, "seconds": seconds, "watts": watts, "marks": marks}]
    return result
