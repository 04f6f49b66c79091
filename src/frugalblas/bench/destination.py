"""A file that a run is written to: whole or not there."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path


class Destination:
    """A file to be written later: refused at once if that cannot work, and never left half written."""

    def __init__(self, path: str) -> None:
        """Raise OSError if `path` cannot be written."""
        self.path = path  # as asked for
        self._path = Path(path)
        mode = self._path.stat().st_mode if self._path.exists() else stat.S_IFREG
        self._special = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
        if self._special:  # to open a pipe now would end it for its reader
            if not os.access(self._path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        self._path = self._path.resolve()  # through a symbolic link, which stays one
        if self._path.exists():
            with self._path.open("ab"):  # a directory or a read-only file raises here; nothing is changed
                pass
        with tempfile.TemporaryFile(dir=self._path.parent):
            pass

    def write(self, content: str | bytes) -> None:
        """Write aside, flush to disk, rename; text as UTF-8. A device or pipe is written to as it is."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        if self._special:
            self._path.write_bytes(data)
            return
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if self._path.exists():
                aside.chmod(stat.S_IMODE(self._path.stat().st_mode))
            aside.replace(self._path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
