"""Writes docs/ladder.md from the registry and the lessons at the head of each source file.

Usage: python docs/make_ladder.py [--check]      (--check: exit 1 if the file is not what would be written)
"""

import inspect
import re
import sys
from pathlib import Path

import frugalblas
from frugalblas import baselines

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ladder.md"

INTRO = """\
<!-- Written by docs/make_ladder.py from cpp/algorithms.def and the sources. Edit those, then run it. -->

# The ladder

Every way of multiplying two matrices that `frugalblas.sgemm(A, B, algo=...)` knows, in the order of the course "Frugal
AI". Each rung changes one thing against the rung before it. `frugalblas bench` shows what that is worth on your
machine.
"""


def source_of(rung: frugalblas.Algorithm) -> Path:
    """The file that holds the rung, relative to the root of the project."""
    if rung.kind == "interpreted":
        return Path("src/frugalblas/baselines.py")
    if rung.device == "cuda":
        return (
            Path("cuda/kernels" if rung.kind == "cuda" else "cuda")
            / f"{rung.name}.{'cu' if rung.kind == 'cuda' else 'cpp'}"
        )
    folder = "passthrough" if rung.kind == "passthrough" else "kernels"
    return Path("cpp") / folder / f"{rung.name}.cpp"


def lesson_of(rung: frugalblas.Algorithm) -> str:
    """The comment at the head of a C++ file, or the docstring of a Python rung."""
    if rung.kind == "interpreted":
        lines = inspect.getdoc(getattr(baselines, rung.name)).splitlines()
    else:
        lines = []
        for line in (ROOT / source_of(rung)).read_text(encoding="utf-8").splitlines()[1:]:
            if not line.startswith("//"):
                break
            lines.append(line.removeprefix("//").removeprefix(" "))
    # Indented lines are code: as in Markdown, they need a blank line around them and four spaces.
    text = "\n".join(re.sub(r"^  (\S)", r"\n    \1", line) for line in lines)
    return re.sub(r"(\n    [^\n]*)\n(?=\S)", r"\1\n\n", text).strip()


def page() -> str:
    """The whole page."""
    rungs = frugalblas.algorithms()
    parts = [INTRO, "| `algo=` | course | idea |", "|---|---|---|"]
    parts += [f"| [`{r.name}`](#{r.name}) | {r.course or 'beyond it'} | {r.summary} |" for r in rungs]
    for rung in rungs:
        source = source_of(rung)
        parts += [
            f"\n## {rung.name}\n",
            f"{f'*{rung.course}* · ' if rung.course else ''}{rung.summary} · [`{source}`](../{source})\n",
            lesson_of(rung),
        ]
    return "\n".join(parts) + "\n"


def main() -> int:
    """Writes or checks the page; returns the exit status."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/ladder.md is out of date: run python docs/make_ladder.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
