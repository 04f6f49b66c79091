"""Threads and processes as other libraries use them: threadpoolctl, cgroups, multiprocessing, joblib, Dask, PyTorch."""

import importlib.util

import numpy as np
import pytest
from children import output_of

import frugalblas
from frugalblas import _core

MOST = 10_000
RUN_SCRIPT = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"  # spawn needs a real __main__


def installed(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


# ---- cgroups ---------------------------------------------------------------------------------------------------------


def tree(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


V2 = "0::/user/job\n"
V1 = "12:memory:/job\n4:cpu,cpuacct:/box/job\n1:name=systemd:/init\n"
V1_FOLDER = "sys/fs/cgroup/cpu/box/job"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, MOST),
        ({"proc/self/cgroup": V2}, MOST),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/job/cpu.max": "max 100000"}, MOST),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/job/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/job/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/job/cpu.max": "10000 100000"}, 1),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/cpu.max": "200000 100000"}, 2),
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/user/job/cpu.max": "400000 100000",
                "sys/fs/cgroup/user/cpu.max": "200000 100000",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000"}, 3),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/job/cpu.max": "nonsense"}, MOST),
        (
            {
                "proc/self/cgroup": V1,
                f"{V1_FOLDER}/cpu.cfs_quota_us": "200000",
                f"{V1_FOLDER}/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": V1,
                f"{V1_FOLDER}/cpu.cfs_quota_us": "-1",
                f"{V1_FOLDER}/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "500000",  # a container's own, where its path is the host's
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            5,
        ),
        ({"proc/self/cgroup": "4:memory:/job\n", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000"}, MOST),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_cgroup_quotas(tmp_path, files, cpus):
    assert _core.cgroup_cpus(tree(tmp_path, files), MOST) == cpus


def test_a_quota_never_adds_cpus(tmp_path):
    files = {"proc/self/cgroup": V2, "sys/fs/cgroup/user/job/cpu.max": "800000 100000"}
    assert _core.cgroup_cpus(tree(tmp_path, files), 3) == 3


# ---- threadpoolctl ---------------------------------------------------------------------------------------------------


@installed("threadpoolctl")
def test_threadpoolctl_finds_and_limits_us():
    code = """
    import numpy as np, frugalblas, threadpoolctl
    def ours():
        found = [lib for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "frugalblas"]
        assert len(found) == 1, found
        return found[0]
    frugalblas.set_num_threads(3)
    library = ours()
    assert library["user_api"] == "blas" and library["num_threads"] == 3, library
    assert library["version"] == frugalblas.__version__, library
    assert library["threading_layer"] == "openmp", library
    for keywords in ({"user_api": "blas"}, {}, {"limits": {"blas": 1}}):
        with threadpoolctl.threadpool_limits(**{"limits": 1, **keywords}):
            assert ours()["num_threads"] == frugalblas.get_num_threads() == 1
        assert ours()["num_threads"] == frugalblas.get_num_threads() == 3
    """
    output_of(code)


@installed("threadpoolctl")
def test_openmps_limit_is_ours():
    code = """
    import threading
    import numpy as np, frugalblas, threadpoolctl
    seen = []
    frugalblas.set_num_threads(3)
    A = np.ones((700, 700), np.float32)
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert frugalblas.get_num_threads() == 1
        assert frugalblas.explain(A, A)["threads"] == 1
        with frugalblas.num_threads(2):
            assert frugalblas.get_num_threads() == 1
            assert frugalblas.explain(A, A, algo="openmp")["threads"] == 1
        assert frugalblas.explain(A, A, algo="openmp", threads=2)["threads"] == 2, "the call's own word counts"
    assert frugalblas.get_num_threads() == 3
    frugalblas.set_num_threads(None)
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        pass
    frugalblas.set_num_threads(5)
    assert frugalblas.get_num_threads() == 5, "OpenMP's start value is nobody's limit"
    """
    output_of(code, OMP_NUM_THREADS="2")


# ---- contexts reach every door ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["ufunc", "blas"])
def test_a_context_limits_patched_products(level):
    """NumPy calls us without the interpreter lock; the context is still the caller's."""
    code = """
    import os, sys
    import numpy as np, frugalblas
    A = np.ones((700, 700), np.float32)
    frugalblas.set_num_threads(6)
    alone = len(os.listdir("/proc/self/task"))
    threads = lambda: len(os.listdir("/proc/self/task")) - alone
    with frugalblas.patch_numpy(sys.argv[1]):
        product = (lambda: A @ A.copy()) if sys.argv[1] == "ufunc" else (lambda: np.dot(A, A.copy()))
        with frugalblas.num_threads(1):
            product()
        one = threads()
        with frugalblas.num_threads(4):
            product()
        print(one, threads())
    """
    assert output_of(code, level, OPENBLAS_NUM_THREADS="1") == "0 3"


# ---- processes -------------------------------------------------------------------------------------------------------

WORK = """
import sys
import numpy as np, frugalblas
def work(n):
    A = np.full((n, n), 2, np.float32)
    with frugalblas.patch_numpy("blas"):
        return float(frugalblas.matmul(A, A, threads=2)[0, 0] + (A @ A)[0, 0] + np.dot(A, A.copy())[0, 0])
SIZES = [10, 300, 600, 20]
RIGHT = [12.0 * n for n in SIZES]
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(
        WORK
        + """
if __name__ == "__main__":
    import multiprocessing, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    assert [work(n) for n in SIZES] == RIGHT
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map_async(work, SIZES).get(timeout=100) == RIGHT
    assert [work(n) for n in SIZES] == RIGHT
"""
    )
    output_of(RUN_SCRIPT, str(script), method)


@installed("joblib")
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(tmp_path, backend):
    script = tmp_path / "script.py"
    script.write_text(
        WORK
        + """
if __name__ == "__main__":
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import joblib
    assert [work(n) for n in SIZES] == RIGHT
    results = joblib.Parallel(n_jobs=2, backend=sys.argv[1])(joblib.delayed(work)(n) for n in SIZES * 4)
    assert results == RIGHT * 4, results
    assert [work(n) for n in SIZES] == RIGHT
"""
    )
    output_of(RUN_SCRIPT, str(script), backend)


@pytest.mark.slow
@installed("distributed")
def test_dask_workers(tmp_path):
    """The worker plugin of docs/drop_in.md: unmodified dask.array code runs on frugalblas."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import numpy as np
def reached():
    from frugalblas import _core
    return sum(_core.products().values())
if __name__ == "__main__":
    import dask.array as da
    from dask.distributed import Client, LocalCluster, WorkerPlugin
    class Frugalblas(WorkerPlugin):
        name = "frugalblas"
        def setup(self, worker):
            import frugalblas
            from frugalblas import _core
            self.patch = frugalblas.patch_numpy("blas")
            _core.count_products(True)
        def teardown(self, worker):
            self.patch.undo()
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        with Client(cluster) as client:
            client.register_plugin(Frugalblas())
            A = np.random.default_rng(0).random((300, 400), dtype=np.float32)
            a = da.from_array(A, chunks=(100, 100))
            np.testing.assert_allclose((a @ a.T).compute(), A @ A.T, rtol=1e-4)
            by_matmul = sum(client.run(reached).values())
            np.testing.assert_allclose(da.dot(a, a.T).compute(), A @ A.T, rtol=1e-4)
            print(by_matmul >= 36, sum(client.run(reached).values()) >= by_matmul + 36)
"""
    )
    output = output_of(RUN_SCRIPT, str(script))
    assert output == "True True"


@pytest.mark.slow
@installed("torch")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_torch_data_loader(tmp_path, method):
    """Workers of a DataLoader multiply, after the parent has used its team."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import sys
import numpy as np, torch, frugalblas
class Products(torch.utils.data.Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, i):
        A = np.full((200, 200), i, np.float32)
        return torch.from_numpy(frugalblas.matmul(A, A, threads=2))
if __name__ == "__main__":
    A = np.ones((300, 300), np.float32)
    assert (frugalblas.matmul(A, A, threads=2) == 300).all()
    loader = torch.utils.data.DataLoader(
        Products(), batch_size=3, num_workers=2, multiprocessing_context=sys.argv[1], timeout=100
    )
    for _ in range(2):
        batches = torch.cat(list(loader))
        assert [float(b[0, 0]) for b in batches] == [200.0 * i * i for i in range(12)]
        assert (frugalblas.matmul(A, A, threads=2) == 300).all()
"""
    )
    output_of(RUN_SCRIPT, str(script), method)


# ---- other interpreters ----------------------------------------------------------------------------------------------


def test_no_lock_of_the_interpreter_is_asked_for():
    """What a free-threaded Python reads: it would switch its lock back on for a module that does not declare this."""
    code = """
    import sys
    import frugalblas
    print(getattr(sys, "_is_gil_enabled", lambda: True)())
    """
    import sysconfig

    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert output_of(code) == str(not free_threaded)


def test_matmul_in_threads():
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(4)
    jobs = [
        (rng.standard_normal((n, 90), dtype=np.float32), rng.standard_normal((90, n), dtype=np.float32))
        for n in (3, 30, 200, 400)
    ] * 8
    expected = [frugalblas.matmul(A, B) for A, B in jobs]
    with ThreadPoolExecutor(6) as pool:
        for algo in ("auto", "blocked", "openmp"):
            results = list(pool.map(lambda job, algo=algo: frugalblas.matmul(*job, algo=algo, threads=2), jobs))
            if algo == "auto":
                for result, right in zip(results, expected, strict=True):
                    np.testing.assert_array_equal(result, right)
