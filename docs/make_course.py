"""Writes the table of docs/course.md from a committed run. Usage: python docs/make_course.py [--check]."""

import sys
from pathlib import Path
from statistics import median

from site_directives import busy

from frugalblas.bench import schema

HERE = Path(__file__).resolve().parent
PAGE = HERE / "course.md"
RUN = HERE.parent / "bench" / "results" / "ladder_xeon.json"
BEGIN, END = "<!-- table: written by docs/make_course.py -->\n", "<!-- end of table -->\n"


def table(result: schema.Result) -> str:
    """GFLOP/s of the largest size on one thread, as they are counted here and as the course counts them."""
    cases = [case for case in result["cases"] if case["seconds"] and case["threads"] == 1]
    course = {strategy["name"]: strategy["course"] for strategy in result["strategies"]}
    edge = max(case["M"] for case in cases if case["M"] == case["N"] == case["K"] and case["strategy"] == "naive")
    cpu = result["machine"]["cpu"]["model"]
    lines = [
        f"At {edge}, one thread, {cpu}, {result['started'][:10]}{busy(result)}:\n",
        "| strategy | course | seconds | GFLOP/s, 2·M·N·K | GFLOP/s, N³ as in the course |",
        "|---|---|---|---|---|",
    ]
    for case in cases:
        if case["M"] == case["N"] == case["K"] == edge and not case["variant"]:
            seconds = median(case["seconds"])
            ours = 2 * edge**3 / seconds / 1e9
            name = case["strategy"]
            lines.append(f"| `{name}` | {course[name] or '–'} | {seconds:.3g} | {ours:.3g} | {ours / 2:.3g} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes or checks the page; returns the exit status."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    new = before + BEGIN + table(schema.read(str(RUN))) + END + rest.split(END)[1]
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    if new == text:
        return 0
    print("docs/course.md is out of date: run python docs/make_course.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
