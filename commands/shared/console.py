"""The console of every verb: it shows commands ready to type, and times in the reader's time zone.

Everything shown goes through here, so this is where control characters are removed from foreign text.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from commands.shared.hints import with_bot_options
from commands.shared.light_helpers import clean_lines
from commands.shared.tables import Table, hanging
from commands.shared.times import for_reader
from tradebot.adapters.text.redaction import hide


def has_letters(console: Console) -> bool:
    """Return whether all letters are equally wide there, so that letters can draw a curve."""
    return getattr(console, "has_letters", True)


class Screen(Console):
    """A rich console that adds the folder to each command it shows, and removes foreign control characters."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is drawn; rich's own control codes are kept, those in texts are removed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else hide(clean_lines(text)), style, control)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; text is broken between words, never inside a command or a path, or not at all with soft_wrap."""
        if not options.get("soft_wrap") and all(isinstance(part, str | Text | Table) for part in objects):
            plain = {"markup": False} if options.get("markup") is False else {}
            texts = (self.render_str(part, **plain) if isinstance(part, str) else part for part in objects)
            objects = tuple(hanging(part, self.width) if isinstance(part, Text) else part for part in texts)
            options["soft_wrap"] = True
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text of a line or a table's cell, with its commands ready to type."""
        written = str if options.get("markup") is False else escape
        try:
            return super().render_str(with_bot_options(for_reader(text), written), **options)
        except MarkupError:
            # Foreign text that wasn't escaped. A pass that is done must not fail while showing its result.
            return super().render_str(with_bot_options(for_reader(text), str), **options | {"markup": False})
