"""Starts one process per library and runs them in turn: a cell is one shape, layout and thread count."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .data import NUMPYS, Reference
from .figures import Cell
from .libraries import OURS, REPEAT_LIBRARY
from .shapes import Shape

# Settings of the caller's shell that would slow a peer, or choose its kernel for it.
DROPPED = ("OPENBLAS_", "GOTO_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "BLI_", "AOCL_", "DNNL_", "ONEDNN_",
           "FRUGALBLAS_", "ATEN_", "TORCH_", "MALLOC_", "LD_PRELOAD", "NPY_", "GLIBC_TUNABLES")  # fmt: skip
NOTHING: Mapping[str, str] = MappingProxyType({})
TEAM_WARM_SECONDS = 4e-3  # a woken team may share one CPU until the scheduler's next tick parts it
ROUND_SECONDS = 2e-3  # a round lasts at least this long, so that neither the clock nor one interrupt shows
LONG_CALL = 20e-3  # a call this long warms its own caches: no warm-up before each round
SETTLE_SECONDS = 0.25  # libgomp's threads spin some milliseconds after a call


class WorkerError(Exception):
    """A library could not be started, or failed on a cell."""


@functools.cache
def repeat_library() -> str:
    """Compile repeat.c, once per run; the folder goes when the run ends."""
    folder = tempfile.mkdtemp(prefix="peers-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = Path(folder) / "repeat.so"
    source = Path(__file__).with_name("repeat.c")
    try:
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(target), str(source)], check=True)
    except OSError as error:
        raise WorkerError(f"no C compiler for {source.name} ({error}): install one, such as Debian's gcc") from None
    return str(target)


def environment(threads: int, extra: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The environment of a worker: nothing inherited that concerns a BLAS, the same thread count said to all."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
    # OMP_DYNAMIC and MKL_DYNAMIC would let a library take fewer threads than it was told.
    fixed = {"KMP_BLOCKTIME": "0", "OMP_DYNAMIC": "false", "MKL_DYNAMIC": "FALSE", "MKL_THREADING_LAYER": "INTEL"}
    # 2^20 cycles, not 2^28: OpenBLAS's threads still spin from one call to the next, but not through others' turns.
    fixed["OPENBLAS_THREAD_TIMEOUT"] = "20"
    fixed[REPEAT_LIBRARY] = repeat_library()
    path = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    return {**kept, **{name: str(threads) for name in counts}, **fixed, **path, **extra}


def cpus_of(threads: int) -> set[int]:
    """The CPUs a worker may use: the last ones, since interrupts tend to go to the first."""
    return set(sorted(os.sched_getaffinity(0))[-threads:])


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of another process (Linux: the clock's number is made from the pid)."""
    return time.clock_gettime((~pid << 3) | 2)


def awake(pid: int) -> bool:
    """Whether a thread of another process runs or wants to. Its CPU time would tell a tick of the clock late."""
    for status in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            if status.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "R":
                return True
        except OSError:  # a thread that has ended meanwhile
            continue
    return False


def busy_seconds() -> float:
    """CPU time of the whole machine so far, the time stolen by its host included; 0 where /proc does not say."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Bystanders:
    """How many CPUs programs other than this comparison used meanwhile: what they take is missing from somebody."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.started, self.base = time.perf_counter(), self._foreign()

    def _foreign(self) -> float:
        return busy_seconds() - time.process_time() - sum(cpu_seconds(pid) for pid in self.pids)

    def cpus(self) -> float:
        ticks = 2 / os.sysconf("SC_CLK_TCK")  # what both readings of /proc/stat may be off by
        return max(0.0, self._foreign() - self.base - ticks) / (time.perf_counter() - self.started)


class Process:
    """One library, waiting for commands."""

    def __init__(self, name: str, threads: int, extra: Mapping[str, str] = NOTHING) -> None:
        self.name, self.threads = name, threads
        command_read, command_write = os.pipe()
        reply_read, reply_write = os.pipe()
        cpus = cpus_of(threads)
        # The affinity is set before the interpreter starts, since libraries count their CPUs while loading.
        start = f"import os,sys; os.sched_setaffinity(0,{cpus}); os.execv(sys.executable,[sys.executable]+sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, "-m", "comparison.worker", name]
            + [str(number) for number in (threads, command_read, reply_write)],
            env=environment(threads, extra),
            pass_fds=(command_read, reply_write),
            stdout=subprocess.DEVNULL,
        )
        os.close(command_read), os.close(reply_write)
        self.commands = Connection(command_write, readable=False)
        self.replies = Connection(reply_read, writable=False)
        self.cpu_at_rest: float | None = None
        self.rest_started = 0.0
        self.idle_cpu = self.idle_seconds = 0.0

    def receive(self) -> Any:
        try:
            reply = self.replies.recv()
        except EOFError:
            raise WorkerError(f"the process ended with status {self.process.wait()}") from None
        if "missing" in reply:
            raise WorkerError(reply["missing"])
        if self.cpu_at_rest is not None:
            self.idle_cpu += reply["woken_cpu"] - self.cpu_at_rest
        self.cpu_at_rest = None
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply["done"]

    def ask(self, operation: str, **arguments: Any) -> Any:
        if self.rest_started:
            self.idle_seconds += time.perf_counter() - self.rest_started
        self.commands.send((operation, arguments))
        done = self.receive()
        self.settle()
        return done

    def settle(self) -> None:
        """Return once the worker's threads sleep: a team that spins would take the next one's CPU."""
        if self.threads > 1:
            deadline = time.perf_counter() + SETTLE_SECONDS
            while awake(self.process.pid) and time.perf_counter() < deadline:
                time.sleep(2e-4)
        self.cpu_at_rest, self.rest_started = cpu_seconds(self.process.pid), time.perf_counter()

    def close(self) -> None:
        self.commands.close()
        self.replies.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Team:
    """The workers of one thread count."""

    def __init__(self, names: list[str], threads: int, forced: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.threads = threads
        self.missing: dict[str, str] = {}
        self.hello: dict[str, dict[str, Any]] = {}
        self.workers: dict[str, Process] = {}
        self.turn = 0
        started = {name: Process(name, threads, (forced or {}).get(name, {})) for name in names}
        for name, worker in started.items():
            try:
                self.hello[name] = worker.receive()
                worker.settle()
                self.workers[name] = worker
            except WorkerError as error:
                self.missing[name] = str(error)
                worker.close()
        for name, hello in self.hello.items():
            if hello["threads"] != threads:
                raise WorkerError(f"{name} runs {hello['threads']} threads after {threads} were asked for")

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()

    def idle_shares(self) -> dict[str, float]:
        """CPU time burnt between turns, as a share of the time between turns."""
        return {name: w.idle_cpu / w.idle_seconds if w.idle_seconds else 0.0 for name, w in self.workers.items()}

    def cell(
        self, shape: Shape, layout: str, seconds: float, rounds: int, offset: int = NUMPYS, packed: bool = False
    ) -> Cell:
        """Check every library on one product, then time them round by round, each in turn."""
        bystanders = Bystanders([worker.process.pid for worker in self.workers.values()])
        calls, warm, errors, slowest = self._checked(shape, layout, offset, packed)
        # Everybody gets the same number of rounds: as many as the slowest can do in its time.
        count = max(3, min(rounds, int(seconds / slowest))) if calls else 0
        cell: Cell = {
            "shape": list(shape), "layout": layout, "threads": self.threads, "errors": errors, "calls": calls,
            "seconds": {name: [] for name in calls}, "peak_flops": [], "read_rate": [],
        }  # fmt: skip
        names = list(calls)
        for _ in range(count):
            self.turn += 1
            shift = self.turn % len(names)
            for name in names[shift:] + names[:shift]:
                spent = self.workers[name].ask("round", calls=calls[name], warm=warm[name])
                cell["seconds"][name].append(spent / calls[name])
            if OURS in calls:  # our process also has the burst of FMAs that measures the peak
                cell["peak_flops"].append(self.workers[OURS].ask("peak"))
                if shape.is_gemv:
                    cell["read_rate"].append(self.workers[OURS].ask("read"))
        cell["bystander_cpus"] = bystanders.cpus()
        return cell

    def _checked(
        self, shape: Shape, layout: str, offset: int, packed: bool
    ) -> tuple[dict[str, int], dict[str, int], dict[str, str], float]:
        """Calls per round and calls before it, of every library whose result is right; what is wrong with others."""
        reference = Reference(shape, layout)
        calls: dict[str, int] = {}
        warm: dict[str, int] = {}
        errors: dict[str, str] = {}
        slowest = 0.0
        for name, worker in self.workers.items():
            try:
                first = worker.ask("shape", **shape._asdict(), layout=layout, offset=offset, packed=packed)
            except WorkerError as error:
                errors[name] = str(error)
                continue
            if wrong := reference.error(first["samples"]):
                errors[name] = wrong
                continue
            calls[name] = max(1, round(ROUND_SECONDS / first["seconds"] + 0.5))
            warm_seconds = TEAM_WARM_SECONDS if self.threads > 1 else 0.0
            warm[name] = max(1, int(warm_seconds / first["seconds"])) if first["seconds"] < LONG_CALL else 0
            slowest = max(slowest, calls[name] * first["seconds"])
        return calls, warm, errors, slowest
