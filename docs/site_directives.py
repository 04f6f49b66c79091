"""What the site adds to the pages: drawn diagrams, figures from committed runs, the help of every command."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GENERATED = HERE / "_generated"  # images must lie below the pages


class Mermaid(SphinxDirective):
    """A ``mermaid`` fence: its committed drawing, so that the site needs no script and no network.

    GitHub draws the same fence by itself. The file is named after the text: a changed diagram has no drawing until
    docs/make_diagrams.py makes one.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The image."""
        text = "\n".join(self.content)
        drawing = HERE / "diagrams" / f"{digest(text)}.svg"
        if not drawing.exists():
            raise self.error("this diagram has no drawing: run python docs/make_diagrams.py, and commit docs/diagrams/")
        return [nodes.image(uri=f"/diagrams/{drawing.name}", alt=f"diagram: {text}", classes=["only-light-background"])]


class Figures(SphinxDirective):
    """All figures that ``frugalblas bench --plots`` would draw of a committed run: the argument, from the root."""

    required_arguments = 1
    option_spec = {"only": directives.unchanged}  # noqa: RUF012  # docutils wants a plain class attribute

    def run(self) -> list[nodes.Node]:
        """An image for each, with the run's machine below."""
        from frugalblas.bench import plots, schema

        source = ROOT / self.arguments[0]
        self.env.note_dependency(str(source))
        try:
            result = schema.read(str(source))
        except (OSError, schema.BadResult) as error:
            raise self.error(f"{self.arguments[0]}: {error}") from None
        folder = GENERATED / source.stem
        wanted = self.options.get("only", "")
        drawn = [path for path in plots.write(result, folder) if path.suffix == ".svg" and path.stem.startswith(wanted)]
        if not drawn:
            raise self.error(f"{self.arguments[0]} gives no figure that starts with {wanted!r}")
        found: list[nodes.Node] = []
        for path in drawn:
            image = nodes.image(uri="/" + path.relative_to(HERE).as_posix(), alt=path.stem.replace("_", " "))
            found.append(nodes.figure("", image, nodes.caption("", caption(result))))
        return found


def caption(result: Any) -> str:
    """Where and when it was measured."""
    cpu = result["machine"].get("cpu", {})
    commit = (result["source"]["commit"] or "unknown")[:10]
    where = f"{cpu.get('model', 'unknown CPU')}, {cpu.get('cpus', '?')} CPUs, {result['started'][:10]}, commit {commit}"
    return where + busy(result)


def busy(result: Any) -> str:
    """A warning if other programs were running; empty if not."""
    load, cpus = max(result["load_average"], default=0.0), result["machine"].get("cpu", {}).get("cpus", 1)
    return f". The machine was busy (load average {load:.0f}): trust no figure, draw your own" if load > cpus else ""


class CommandHelp(SphinxDirective):
    """``--help`` of the command and of every command below it."""

    def run(self) -> list[nodes.Node]:
        """A section each."""
        from frugalblas import cli

        os.environ["COLUMNS"] = "100"  # argparse wraps at the terminal's width
        found: list[nodes.Node] = []
        for parser in with_subcommands(cli.parser()):
            section = nodes.section(ids=[nodes.make_id(parser.prog)], names=[parser.prog])
            help_text = parser.format_help()
            section += nodes.title("", parser.prog)
            section += nodes.literal_block(help_text, help_text, language="text")
            found.append(section)
        return found


def with_subcommands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parser and all those below it, each once, in the order of the help."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                found += with_subcommands(child)
    return found


def digest(text: str) -> str:
    """The file name of a diagram's drawing, without its suffix."""
    return hashlib.sha256("\n".join(line.rstrip() for line in text.strip().splitlines()).encode()).hexdigest()[:12]


def plain_docstrings(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """|A||B| is a magnitude, not a substitution; and what stands before a field's first colon is not its type."""
    lines[:] = [line.replace("|", "\\|") for line in lines]
    if what in ("attribute", "property"):
        lines.insert(0, "")


def links_to_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """What is a file on GitHub and a page here."""
    source[0] = source[0].replace("](../.github/CONTRIBUTING.md", "](contributing.md")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.connect("autodoc-process-docstring", plain_docstrings, priority=100)  # before Napoleon
    app.connect("source-read", links_to_pages)
    app.add_directive("mermaid", Mermaid)
    app.add_directive("figures", Figures)
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
