"""How many threads a call uses when it does not say so itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import index

import numpy as np

from . import _core


def _checked(n: int) -> int:
    expected = f"number of threads is {n!r}, expected a whole number from 1 to {_core.max_threads()}"
    if isinstance(n, (bool, np.bool_)):
        raise ValueError(expected)
    try:
        count = index(n)
    except TypeError:
        raise TypeError(expected) from None
    if not 1 <= count <= _core.max_threads():
        raise ValueError(expected)
    return count


def get_num_threads() -> int:
    """Threads that a call without `threads=` may use here and now.

    The setting of the innermost `num_threads` context, else of `set_num_threads`, else OMP_NUM_THREADS as it was when
    frugalblas was first asked, else the CPUs this process may use (affinity mask and cgroup quota); and never more than
    OpenMP's own count where that was lowered for this thread, as by `threadpoolctl.threadpool_limits`.
    """
    in_context: int | None = _core.threads_variable().get(None)
    return _core.limit_threads(in_context) if in_context is not None else _core.get_num_threads()


def set_num_threads(n: int | None) -> None:
    """Sets the default of the whole process; None returns to OMP_NUM_THREADS or the usable CPUs.

    Raises ValueError if `n` is not between 1 and max(64, 4 x CPUs), TypeError if it is no whole number.
    """
    _core.set_num_threads(0 if n is None else _checked(n))


@contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Within the `with` block, and only in this thread or async task, calls use `n` threads by default.

    Raises like `set_num_threads`.
    """
    variable = _core.threads_variable()
    token = variable.set(_checked(n))
    try:
        yield
    finally:
        variable.reset(token)
