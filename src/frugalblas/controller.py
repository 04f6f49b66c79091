"""What threadpoolctl needs to find and limit the threads of frugalblas."""

from importlib import import_module
from typing import Any

from . import _core


def register() -> None:
    """Registers with threadpoolctl, if it is installed.

    At import, because threadpoolctl has no other way of finding a library it does not know: three milliseconds, beside
    a hundred for NumPy.
    """
    try:
        threadpoolctl = import_module("threadpoolctl")
    except ImportError:
        return
    if not hasattr(threadpoolctl, "register"):  # before 3.2
        return

    base: Any = threadpoolctl.LibController

    class FrugalblasController(base):  # type: ignore[misc]
        """The threads of libfrugalblas.so: process-wide, as `set_num_threads`."""

        user_api = "blas"
        internal_api = "frugalblas"
        filename_prefixes = ("libfrugalblas.",)
        check_symbols = ("frugalblas_get_num_threads", "frugalblas_set_num_threads")

        def get_num_threads(self) -> int:
            # Without OpenMP's limit, which would otherwise become ours when threadpoolctl puts back what it read.
            return _core.process_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _core.set_num_threads(max(1, num_threads))

        def get_version(self) -> str:
            from . import __version__

            return __version__

        def set_additional_attributes(self) -> None:
            self.threading_layer = "openmp"
            self.architecture = _core.default_variant

    threadpoolctl.register(FrugalblasController)
