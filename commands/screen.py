"""The console of every verb: the commands in its texts are shown as they must be typed, on one line each."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from commands.hints import PROGRAM, aimed


class Screen(Console):
    """A rich console that puts the bot's folder into each command that it shows."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a line that names a command is not broken, because it is there to be copied."""
        if any(isinstance(part, str) and f"{PROGRAM} " in part for part in objects):
            options["soft_wrap"] = True
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text, of a line or of a table's cell, with its commands as they must be typed."""
        written = str if options.get("markup") is False else escape
        return super().render_str(aimed(text, written), **options)
