"""The commands that README.md and the pages show are commands that there are."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

import frugalblas
from frugalblas import cli
from frugalblas.bench import parsing, studies
from frugalblas.bench.cases import RequestError

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]) if (ROOT / "docs").is_dir() else []
BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(frugalblas (?!\S*\.)[^`]+)`")
SEPARATORS = ("|", "||", "&&", ";", ">", ">>", "2>")

needs_pages = pytest.mark.skipif(not PAGES, reason="the pages are not here: an installed package is being tested")


def commands_of(text):
    """Every `frugalblas ...` of console and shell blocks, in pipelines and inside `$(...)` too; and those inline."""
    found = [" ".join(command.split()) for command in INLINE.findall(text)]
    for block in BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):  # the rest is what the commands print
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in (re.split(r" {2,}", line)[0] for line in lines):  # what follows two spaces explains the command
            found += re.findall(r"\$\((frugalblas [^()]*)\)", line)
            words = shlex.split(re.sub(r"\$\([^()]*\)", "X", line), comments=True)
            starts = [i for i, word in enumerate(words) if Path(word).name == "frugalblas" and comes_first(words, i)]
            for start in starts:
                rest = words[start + 1 :]
                ends = [i for i, word in enumerate(rest) if word in SEPARATORS]
                found.append(shlex.join(["frugalblas", *rest[: min(ends, default=len(rest))]]))
    return found


def comes_first(words, i):
    """Whether a command starts at this word."""
    return i == 0 or words[i - 1] in (*SEPARATORS, "sudo") or re.fullmatch(r"[A-Z_]+=.*", words[i - 1]) is not None


def fault_of(command):
    """Why the command line would be refused; None if it would not."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            options = cli.parser().parse_args(shlex.split(command)[1:])
        except SystemExit as end:
            return errors.getvalue() if end.code else None
    try:
        check_values(options)
    except RequestError as error:
        return str(error)
    return None


def check_values(options):
    """Names and sizes of `bench`, which argparse takes as text. A strategy of another machine is fine."""
    if options.command != "bench":
        return
    if options.sizes is not None:
        parsing.parse_sizes(options.sizes)
    if options.threads is not None:
        parsing.parse_threads(options.threads)
    for study in (options.study or "all").split(","):
        if study != "all" and study not in studies.STUDIES:
            raise RequestError(f"no study is called {study!r}")
    cards = {card.name: card for card in frugalblas.algorithms()}
    for token in (options.algo or "").split(","):
        name, at, variant = token.partition("@")
        if token and token != "all" and name not in cards:
            raise RequestError(f"no strategy is called {name!r}")
        if at and variant not in KNOWN_VARIANTS:
            raise RequestError(f"no variant is called {variant!r}")


KNOWN_VARIANTS = ("v2", "v3", "v4", "neon", *(v["name"] for v in frugalblas._core.variants()))


@needs_pages
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_can_be_run(page):
    faults = {command: why for command in commands_of(page.read_text()) if (why := fault_of(command))}
    assert not faults


@needs_pages
def test_the_course_has_all_its_exercises():
    text = (ROOT / "docs" / "course.md").read_text()
    found = set()
    for first, last in re.findall(r"^\| (\d+)(?:-(\d+))? \|.*`(?:frugalblas|pytest) ", text, re.MULTILINE):
        found |= set(range(int(first), int(last or first) + 1))
    assert found == set(range(1, 40))


def test_commands_are_found():
    text = "`frugalblas info` `frugalblas.sgemm(A)`\n"
    text += "```console\n$ A=1 frugalblas x --y 'a b'  # why\n$ cc $(frugalblas z)\n```\n"
    assert commands_of(text) == ["frugalblas info", "frugalblas x --y 'a b'", "frugalblas z"]
    text = "```sh\npython3 -m venv .venv && .venv/bin/frugalblas bench | head\n```\n"
    assert commands_of(text) == ["frugalblas bench"]


@pytest.mark.parametrize(
    "command",
    [
        "bench --no-such-option",
        "bench --study size",
        "bench --algo nave",
        "bench --algo naive@O9",
        "bench --sizes 12by3",
        "energy nap",
        "benhc",
    ],
)
def test_what_cannot_be_run_is_a_fault(command):
    assert fault_of(f"frugalblas {command}")
