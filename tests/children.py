"""Fresh Python processes, for what can only be seen at import, at a fork or under a limit."""

import os
import subprocess
import sys
import textwrap

# A child that hangs must not hang the suite; far above what any child here needs, also on a loaded machine.
TIMEOUT_SECONDS = 120


def start(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs `code` in a new interpreter. Its environment is ours without the variables that steer threads or levels."""
    steering = ("OMP_", "GOMP_", "OPENBLAS_", "FRUGALBLAS_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**clean, "OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def output_of(code: str, *arguments: str, **environment: str) -> str:
    """What `code` prints; fails if it exits with an error or writes to stderr."""
    child = start(code, *arguments, **environment)
    assert child.returncode == 0, f"exit code {child.returncode}\n{child.stdout}\n{child.stderr}"
    assert child.stderr == ""
    return child.stdout.strip()
