"""The entry of the command ``frugalblas``: loads the kernels, and NumPy with them, only for commands that multiply.

Apart from the package, because importing ``frugalblas`` loads both: a program that is started through ``frugalblas
run`` should not wait for them.
"""

import sys

NEED_NO_KERNELS = ("run", "preload", "config", "blas-provider", "-h", "--help", "--version")

without_kernels = False
"""Whether this process is such a command; ``frugalblas/__init__.py`` asks."""


def main() -> int:
    """Run the command line; the exit status."""
    global without_kernels
    without_kernels = len(sys.argv) < 2 or sys.argv[1] in NEED_NO_KERNELS
    if sys.argv[1:2] == ["run"]:
        from frugalblas import run_cli

        options = run_cli.plain_options(sys.argv[2:])
        if options is not None:
            try:
                return run_cli.run_program(options)
            except KeyboardInterrupt:
                return 130
    from frugalblas.cli import main as command

    return command()
