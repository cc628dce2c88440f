"""The console of every verb: the commands in its texts are shown as they must be typed, on one line each.

Whatever is shown comes through here, so this is where foreign text loses what would repaint a terminal.
"""

import re
from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from commands.shared.hints import PROGRAM, aimed
from commands.shared.plain import clean_lines
from tradebot.adapters.text.redaction import hide

WHOLE = re.compile(rf"[^\n]*\b{PROGRAM} [^\n]*?--state-dir (?:'[^'\n]*'|\S+)|(?<![^\s(])/[^\s/]\S*")
"""What a reader copies: a path, or a command up to its folder, which is measured from where its line begins."""


class Screen(Console):
    """A rich console that puts the folder into each command that it shows, and lets no foreign control through."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is drawn; rich's own controls are kept apart from texts, which hold none of their own."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else hide(clean_lines(text)), style, control)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a command or a path is never broken, because it is there to be copied."""
        if any(isinstance(part, str) and (f"{PROGRAM} " in part or WHOLE.search(part)) for part in objects):
            options["soft_wrap"] = True
        for table in (part for part in objects if isinstance(part, Table)):
            self._keep_paths_whole(table)
            options["crop"] = False
        super().print(*objects, **options)

    def _keep_paths_whole(self, table: Table) -> None:
        """Widen each column to the longest path or command in it, even where the table gets wider than the screen."""
        for column in table.columns:
            texts = (self.render_str(cell) if isinstance(cell, str) else cell for cell in column.cells)
            whole = (part for text in texts if isinstance(text, Text) for part in WHOLE.findall(text.plain))
            column.min_width = max(map(cell_len, whole), default=0) or column.min_width

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text, of a line or of a table's cell, with its commands as they must be typed."""
        written = str if options.get("markup") is False else escape
        try:
            return super().render_str(aimed(text, written), **options)
        except MarkupError:
            # Foreign text that nobody escaped: what a pass has done must not end in a fault of its screen.
            return super().render_str(aimed(text, str), **options | {"markup": False})
