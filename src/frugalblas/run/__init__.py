"""``frugalblas run``: any program with its float32 products on frugalblas, and a profile of them.

Nothing here imports NumPy or the kernels.
"""
