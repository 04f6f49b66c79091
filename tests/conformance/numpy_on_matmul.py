"""NumPy's own tests of np.matmul, run on `frugalblas.matmul`."""

from numpy._core.tests.test_multiarray import TestMatmul as _TestMatmul

import frugalblas


class TestFrugalblasMatmul(_TestMatmul):
    matmul = staticmethod(frugalblas.matmul)
