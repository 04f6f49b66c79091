"""FRUGALBLAS_TUNING: what is chosen for the cores of one maker or another. Both are tested, whatever this CPU is.

At its best level and with AVX2: elsewhere the makers' cores are told apart nowhere.
"""

from pathlib import Path

import pytest
from children import output_of, start

import frugalblas

TUNINGS = ["intel", "generic"]
LEVELS = frugalblas.info()["cpu"]["levels"]
TOLD_APART = sorted({LEVELS[-1], *({"v3"} & set(LEVELS))})

PRODUCTS = """
    import sys
    import numpy as np
    sys.path.insert(0, sys.argv[1])
    from checker import check
    import frugalblas

    level = sys.argv[2]
    rng = np.random.default_rng(0)
    # (M,N,K): few rows and many columns, the large operand past L2 too; edges of tiles, panels and strips; borders at
    # 16, 32 and 256 rows; several parts of K; squares; a small C and a long K; flat; rows of B 4 KiB apart; few rows of
    # a B beyond half of L3, tiny C; a long K beyond half of an L3 of 32 MiB; few columns and a long K.
    shapes = [
        (16, 1024, 512), (16, 1024 + 48, 1600), (25, 501, 100), (32, 1100, 1000), (33, 1100, 1000), (64, 700, 577),
        (127, 1021, 251), (130, 261, 900), (64, 3136, 576), (256, 520, 800), (257, 520, 130), (96, 96, 96),
        (300, 310, 800), (32, 32, 4100), (4, 4, 5000), (3, 40, 6000), (40, 3, 6000), (2, 1000, 1000), (1000, 5, 700),
        (8, 1500, 900), (8, 64, 5000), (16, 3072, 900), (12, 1100, 1000), (2, 3, 1500), (1, 1, 40_000), (4, 100, 30),
        (48, 32, 60_000), (400, 96, 3300), (80, 16, 40_000), (1, 700, 9000),
    ]
    for n, (M, N, K) in enumerate(shapes):
        beta, order = (0, 0.5)[n % 2], "CF"[n // 2 % 2]
        for flip_a in (False, True):
            for flip_b in (False, True):
                A = rng.standard_normal((K, M) if flip_a else (M, K), dtype=np.float32)
                B = rng.standard_normal((N, K) if flip_b else (K, N), dtype=np.float32)
                A, B = A.T if flip_a else A, B.T if flip_b else B
                C = np.asarray(rng.standard_normal((M, N), dtype=np.float32), order=order)
                for algo in ("auto", f"blocked@{level}", f"openmp@{level}", f"microkernel@{level}", f"deep@{level}"):
                    alone = frugalblas.sgemm(A, B, out=C.copy("K"), beta=beta, algo=algo, threads=1)
                    check(alone, A, B, C, beta=beta)
                    for threads in (2, 3):
                        frugalblas.free_workspace()  # so that panels of the product before cannot pass for its own
                        together = frugalblas.sgemm(A, B, out=C.copy("K"), beta=beta, algo=algo, threads=threads)
                        assert together.tobytes() == alone.tobytes(), (algo, threads, M, N, K)
    for n, k in ((257, 300), (520, 900)):  # half the product, and all of it
        A = rng.standard_normal((k, n), dtype=np.float32)
        for X in (A, A.T):
            assert frugalblas.matmul(X.T, X).tobytes() == frugalblas.matmul(X.T, X, threads=2).tobytes(), (n, k)
    for n in (48, 96):  # stacks beyond L2
        A, B = (rng.standard_normal((130, n, n), dtype=np.float32) for _ in "AB")
        for X in (A, A.swapaxes(1, 2)):
            for threads in (1, 3):
                C = frugalblas.matmul(X, B, out=np.full((130, n, n), np.nan, np.float32), threads=threads)
                for c, x, b in zip(C, X, B):
                    assert c.tobytes() == frugalblas.sgemm(x, b, threads=1).tobytes(), n
    print(frugalblas.info()["cpu"]["tuning"])
"""


@pytest.mark.parametrize("level", TOLD_APART)
@pytest.mark.parametrize("tuning", TUNINGS)
def test_products_under_either_tuning(tuning, level, request):
    tests = str(request.path.parent)
    assert output_of(PRODUCTS, tests, level, FRUGALBLAS_TUNING=tuning, FRUGALBLAS_ISA=level) == tuning


def test_the_tuning_is_that_of_this_cpu_unless_the_variable_says_otherwise():
    code = "import frugalblas; print(frugalblas.info()['cpu']['tuning'])"
    here = "intel" if "GenuineIntel" in Path("/proc/cpuinfo").read_text() else "generic"
    assert output_of(code) == output_of(code, FRUGALBLAS_TUNING="") == here


@pytest.mark.parametrize("wrong", ["amd", "Intel", " intel", "1"])
def test_a_wrong_tuning_is_an_import_error(wrong):
    child = start("import frugalblas", FRUGALBLAS_TUNING=wrong)
    assert child.returncode == 1
    assert child.stderr.splitlines()[-1] == (
        f"ImportError: FRUGALBLAS_TUNING is '{wrong}'; it may be 'intel' or 'generic', or unset for what suits this CPU"
    )
