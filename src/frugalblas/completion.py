"""Shell completion: scripts for bash, zsh and fish, made from the parser of the command itself."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SHELLS = ("bash", "zsh", "fish")


@dataclass
class Command:
    """A command or subcommand: ``frugalblas energy doctor`` is ("energy", "doctor")."""

    path: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)  # each long name, and its help
    commands: dict[str, str] = field(default_factory=dict)


def commands(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """The parser's commands, those above first."""
    found, below = Command(path), []
    for action in parser._actions:  # argparse has no public way to ask
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            found.commands = {name: helps.get(name, "") for name in action.choices}
            below = list(action.choices.items())
        elif action.help != argparse.SUPPRESS:
            found.options |= {name: action.help or "" for name in action.option_strings if name.startswith("--")}
    yield found
    for name, subparser in below:
        yield from commands(subparser, (*path, name))


def script(shell: str, parser: argparse.ArgumentParser, values: Mapping[str, list[str]]) -> str:
    """The script for a shell; `values` are what an option takes, as "--study": ["ladder", ...]."""
    tree = list(commands(parser))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](parser.prog, tree, values)


def _walk(tree: list[Command]) -> str:
    """The pattern of a `case` that is a command further down."""
    return "|".join(f'"{" ".join(("", *command.path))}"' for command in tree if command.path)


def _reply(words: list[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$current"))'


def _bash(program: str, tree: list[Command], values: Mapping[str, list[str]]) -> str:
    lines = [
        f'# bash completion: eval "$({program} completion bash)"',
        f"_{program}() {{",
        "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} at= word",
        '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f'    case "$at $word" in {_walk(tree)}) at="$at $word" ;; esac',
        "  done",
        '  case "$previous" in',
        *(f"    {option}) {_reply(names)}; return ;;" for option, names in values.items()),
        "  esac",
        '  case "$at" in',
        *(f'    "{" ".join(("", *c.path))}") {_reply([*c.commands, *c.options])} ;;' for c in tree),
        "  esac",
        "}",
        f"complete -o default -F _{program} {program}",
    ]
    return "\n".join(lines) + "\n"


def _zsh(program: str, tree: list[Command], values: Mapping[str, list[str]]) -> str:
    def described(names: Mapping[str, str]) -> str:
        return " ".join(shlex.quote(f"{name}:{help}" if help else name) for name, help in names.items())

    lines = [
        f"#compdef {program}",
        f"# zsh completion: put this into a file _{program} in a directory of $fpath",
        f"_{program}() {{",
        "  local at= word",
        "  local -a found",
        '  for word in "${words[@]:1:$((CURRENT-2))}"; do',
        f'    case "$at $word" in {_walk(tree)}) at="$at $word" ;; esac',
        "  done",
        '  case "$words[CURRENT-1]" in',
        *(f"    {option}) compadd -- {' '.join(names)}; return ;;" for option, names in values.items()),
        "  esac",
        '  case "$at" in',
        *(f'    "{" ".join(("", *c.path))}") found=({described({**c.commands, **c.options})}) ;;' for c in tree),
        "  esac",
        f"  _describe {program} found || _files",
        "}",
        f'_{program} "$@"',
    ]
    return "\n".join(lines) + "\n"


def _fish(program: str, tree: list[Command], values: Mapping[str, list[str]]) -> str:
    lines = [f"# fish completion: {program} completion fish > ~/.config/fish/completions/{program}.fish"]
    for command in tree:
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in command.path)
        if command.commands:
            none_yet = f"not __fish_seen_subcommand_from {' '.join(command.commands)}"
            condition = f"{seen}; and {none_yet}" if seen else none_yet
            for name, help in command.commands.items():
                lines.append(f"complete -c {program} -f -n {shlex.quote(condition)} -a {name} -d {shlex.quote(help)}")
        for name, help in command.options.items():
            condition = f" -n {shlex.quote(seen)}" if seen else " -n __fish_use_subcommand"
            taken = f" -x -a {shlex.quote(' '.join(values[name]))}" if name in values else ""
            lines.append(f"complete -c {program}{condition} -l {name[2:]}{taken} -d {shlex.quote(help)}")
    return "\n".join(lines) + "\n"
