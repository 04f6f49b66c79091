"""Text on its way to a terminal, a pipe or a file."""

from __future__ import annotations

import shutil
from typing import TextIO


def page_width() -> int:
    """Columns of the terminal, or COLUMNS, or 80."""
    return shutil.get_terminal_size((80, 24)).columns


def show(text: str, stream: TextIO) -> None:
    """Print, in ASCII if the stream knows nothing better."""
    encoding = stream.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("–", "-").encode(encoding, "replace").decode(encoding)
    stream.write(text)
    stream.flush()
