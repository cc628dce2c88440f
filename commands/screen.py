"""The console of every verb: the commands in its texts are shown as they must be typed, on one line each.

Whatever is shown comes through here, so this is where foreign text loses what would repaint a terminal.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from commands.hints import PROGRAM, aimed
from commands.plain import clean_lines
from tradebot.adapters.redaction import hide


class Screen(Console):
    """A rich console that puts the folder into each command that it shows, and lets no foreign control through."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is drawn; rich's own controls are kept apart from texts, which hold none of their own."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else hide(clean_lines(text)), style, control)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a line that names a command is not broken, because it is there to be copied."""
        if any(isinstance(part, str) and f"{PROGRAM} " in part for part in objects):
            options["soft_wrap"] = True
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text, of a line or of a table's cell, with its commands as they must be typed."""
        written = str if options.get("markup") is False else escape
        try:
            return super().render_str(aimed(text, written), **options)
        except MarkupError:
            # Foreign text that nobody escaped: what a pass has done must not end in a fault of its screen.
            return super().render_str(aimed(text, str), **options | {"markup": False})
