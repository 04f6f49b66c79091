"""``python -m frugalblas`` is the command ``frugalblas``."""

import sys

from frugalblas.cli import main

if __name__ == "__main__":
    sys.exit(main())
