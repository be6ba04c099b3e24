"""Every command with its arguments and options, as a page: what docs/commands.md holds.

`python -m mycroft_fl.cli.reference docs/commands.md` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

HEAD = """# Commands

What `mycroft-fl COMMAND --help` says, on one page. The exit code is 0 when all went well, 2 for bad input,
1 for what failed while it ran, 130 after Ctrl-C; an error is one to three lines on stderr.
"""


def reference(root: click.Group) -> str:
    """Return the page of all commands below `root`."""
    return HEAD + "".join(_page(command, path) for path, command in commands(root, ("mycroft-fl",)))


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Return each command that does something, with what is typed to call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def _page(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    text = " ".join((command.help or "").split())
    rows = [
        f"| `{_cell(names)}` | {_cell(meaning)} |"
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
        for names, meaning in [record]
        if meaning and "--help" not in names
    ]
    table = ["", "| option | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join(["", f"## {path}", "", f"`{path} {usage}`", "", text, *table, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the page into the file that the command line names."""
    from mycroft_fl.cli.main import cli

    Path(sys.argv[1]).write_text(reference(cli), encoding="utf-8")


if __name__ == "__main__":
    main()
