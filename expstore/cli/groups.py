"""The groups in which `--help` lists the commands.

Guarantees: every command is in one group, in this order; a test holds it.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from expstore.cli.helping import Command

GROUPS = {
    "Log": ("demo", "init", "run", "new", "log", "set", "end"),
    "Look": (
        *("ls", "show", "metrics", "tail", "compare", "diff", "plot", "report", "serve", "watch"),
        "files",
    ),
    "Care": ("check", "repair", "salvage", "seal", "prune", "rm"),
    "Exchange": ("export", "import", "cp"),
    "Formats": ("schema", "hexdump"),
}
_ORDER = [name for names in GROUPS.values() for name in names]


def arrange(app: Any) -> None:
    """Give an application's commands, all of which were added, their groups, order and help."""
    panels = {name: group for group, names in GROUPS.items() for name in names}

    def name_of(command: Any) -> str:
        return str(command.name or command.callback.__name__)

    for command in app.registered_commands:
        command.rich_help_panel = panels[name_of(command)]
        if command.cls is TyperCommand:
            command.cls = Command
    app.registered_commands.sort(key=lambda command: _ORDER.index(name_of(command)))
