"""Principal components of float32 data with scikit-learn: nothing here knows of frugalblas.

frugalblas run docs/examples/sklearn_pca.py
"""

import numpy as np
from sklearn.decomposition import PCA

generator = np.random.default_rng(0)
# Ten directions of decreasing variance, hidden in 400 dimensions.
hidden = generator.standard_normal((2000, 10), dtype=np.float32) * np.arange(10, 0, -1, dtype=np.float32)
data = hidden @ generator.standard_normal((10, 400), dtype=np.float32)
data += 0.01 * generator.standard_normal(data.shape, dtype=np.float32)
pca = PCA(n_components=10, svd_solver="randomized", random_state=0).fit(data)
assert pca.components_.dtype == np.float32
error = np.abs(pca.inverse_transform(pca.transform(data)) - data).max()
assert error < 0.1, "ten components should explain the data but for the noise"
print(f"explained variance {pca.explained_variance_ratio_.sum():.4f}, largest error {error:.3f}")
