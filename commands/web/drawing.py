"""Draw what a verb prints as HTML: the same words and figures, as paragraphs and tables instead of lines."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

from markupsafe import Markup, escape
from rich.console import Console, RenderableType
from rich.text import Text

from commands.shared.console import Screen
from commands.shared.plain import clean_lines
from commands.shared.tables import Column, Table
from tradebot.adapters.text.redaction import hide

WIDTH = 200
"""Nothing is wrapped to it: it only lets a verb show all that it shows on a wide terminal."""
INDENT = re.compile(r" *")


class Sheet(Screen):
    """The console of every verb, which keeps what is printed as HTML."""

    def __init__(self) -> None:
        super().__init__(
            file=StringIO(), width=WIDTH, color_system="truecolor", force_terminal=True, highlight=False, emoji=False,
            soft_wrap=False, legacy_windows=False,
        )  # fmt: skip
        self._parts: list[Markup] = []

    def print(self, *objects: Any, **options: Any) -> None:
        """Keep tables as tables, and each line of text as a paragraph."""
        plain = {"markup": False} if options.get("markup") is False else {}
        for each in objects:
            if isinstance(each, Table):
                self._parts.append(self._table(each))
            else:
                text = each if isinstance(each, Text) else self._text(each, plain)
                text.style = options.get("style") or text.style
                self._parts.extend(self._paragraphs(text))

    def html(self) -> Markup:
        """Return everything that was printed so far."""
        return Markup("\n").join(self._parts)

    def _text(self, printed: RenderableType, plain: dict[str, Any]) -> Text:
        if isinstance(printed, str):
            return self.render_str(printed, **plain)
        with self.capture() as shown:
            Console.print(self, printed)
        return Text.from_ansi(shown.get().rstrip("\n"))

    def _paragraphs(self, text: Text) -> Iterator[Markup]:
        for line in text.split("\n", allow_blank=True):
            if not line.plain.strip():
                continue
            found = INDENT.match(line.plain)
            indent = len(found.group()) if found else 0
            kind = Markup(' class="under"') if indent else Markup("")
            yield Markup("<p{}>{}</p>").format(kind, self.inline(line[indent:]))

    def inline(self, text: Text) -> Markup:
        """Return a text in its colors, without anything secret."""
        return Markup("").join(self._spans(text))

    def _spans(self, text: Text) -> Iterator[Markup]:
        text = text.copy()
        text.end = ""
        for piece, style, _ in text.render(self):
            shown = escape(hide(clean_lines(piece)))
            names = [*_color(style), *(["dim"] if style and style.dim else [])]
            shown = Markup("<b>{}</b>").format(shown) if style and style.bold else shown
            yield Markup('<span class="{}">{}</span>').format(" ".join(names), shown) if names else shown

    def _table(self, table: Table) -> Markup:
        rows = [[self._cell(cell) for cell in cells] for cells, _ in table.rows]
        kept = [place for place, _ in enumerate(table.columns) if any(row[place].plain for row in rows)]
        head = Markup("").join(_heading(table.columns[place]) for place in kept) if table.header else ""
        body = Markup("\n").join(
            Markup("<tr{}>{}</tr>").format(_styled(style), Markup("").join(self._cells(table.columns, kept, row)))
            for row, (_, style) in zip(rows, table.rows, strict=True)
        )
        top = Markup("<thead><tr>{}</tr></thead>").format(head) if table.header else ""
        return Markup('<div class="scroll" tabindex="0"><table>{}<tbody>{}</tbody></table></div>').format(top, body)

    def _cell(self, cell: str | Text) -> Text:
        return self.render_str(cell) if isinstance(cell, str) else cell

    def _cells(self, columns: Sequence[Column], kept: Iterable[int], row: Sequence[Text]) -> Iterator[Markup]:
        for number, place in enumerate(kept):
            shown = Markup("<br>").join(self.inline(line) for line in row[place].split("\n", allow_blank=True))
            kind = Markup(' class="{}"').format(_kind(columns[place])) if _kind(columns[place]) else ""
            tag, scope = ("th", Markup(' scope="row"')) if number == 0 else ("td", "")
            yield Markup("<{}{}{}>{}</{}>").format(tag, scope, kind, shown, tag)


def drawn(draw: Callable[[Console], None]) -> Markup:
    """Return what this prints, as HTML."""
    sheet = Sheet()
    draw(sheet)
    return sheet.html()


def line(markup: str) -> Markup:
    """Return one line of our own words, colors and all."""
    sheet = Sheet()
    return sheet.inline(sheet.render_str(markup))


def _heading(column: Column) -> Markup:
    kind = Markup(' class="{}"').format(_kind(column)) if _kind(column) else ""
    return Markup('<th scope="col"{}>{}</th>').format(kind, hide(column.name))


def _kind(column: Column) -> str:
    return "n" if column.is_number else "s" if column.is_sentence else ""


def _styled(style: str) -> Markup | str:
    return Markup(' class="{}"').format(style) if style else ""


def _color(style: Any) -> list[str]:
    return [style.color.name] if style is not None and style.color is not None else []
