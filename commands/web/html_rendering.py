"""Render a verb's output as HTML: the same words and figures, in paragraphs and tables."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape
from rich.console import Console, RenderableType
from rich.text import Text

from commands.shared.hints import PROGRAM
from commands.shared.light_helpers import COMMAND, clean, clean_lines
from commands.shared.listed_verbs import VERBS
from commands.shared.tables import Column, Screen, Table
from commands.shared.verb_options import Report
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.wiring import App

WIDTH = 200
"""The console's width, which doesn't wrap output but makes verbs show everything that they show on a wide terminal."""
PHONE, GAP = 46, 2
"""How many letters fit side by side on a phone, and how many a gap between columns takes.

Rows of wider tables become cards there, with a label for each cell.
"""
MOST_CARDS = 150
"""A table with more rows than this stays a table on a phone, too, because it is read column by column."""
OF_SYMBOLS = frozenset({"symbol", "nearest miss"})
"""The columns with names of symbols, which link to their pages."""
SPACE = re.compile(r"\s")
INDENT = re.compile(r" *")
TYPED = "|".join(sorted(VERBS, reverse=True))
CHANGED = r"(?:(?:(?<=--what-if)| --what-if) \S+)*"
COMMANDS = re.compile(rf"(?<![\w./-])(?:[\w./-]+/)?(?=(?:python -m )?{PROGRAM} (?:{TYPED})\b){COMMAND}{CHANGED}")


class Sheet(Screen):
    """A console like that of every verb, but with HTML as its output."""

    has_letters = False

    def __init__(self) -> None:
        super().__init__(
            file=StringIO(), width=WIDTH, color_system="truecolor", force_terminal=True, highlight=False, emoji=False,
            soft_wrap=False, legacy_windows=False,
        )  # fmt: skip
        self._parts: list[Markup] = []

    def print(self, *objects: Any, **options: Any) -> None:
        """Render tables as HTML tables, and each line of text as a paragraph."""
        plain = {"markup": False} if options.get("markup") is False else {}
        for each in objects:
            if isinstance(each, Table):
                self._parts.append(self._table(each))
            else:
                text = each if isinstance(each, Text) else self._text(each, plain)
                text.style = options.get("style") or text.style
                self._parts.extend(self._paragraphs(text))

    def fold(self, title: str, draw: Callable[[Console], None]) -> None:
        """Render a part of the output folded, so that a person has to unfold it."""
        parts = Markup("<details><summary>{}</summary>{}</details>").format(title, render_html(draw))
        self._parts.append(parts)

    def html(self) -> Markup:
        """Return all output so far."""
        return Markup("\n").join(self._parts)

    def _text(self, printed: RenderableType, plain: dict[str, Any]) -> Text:
        if isinstance(printed, str):
            return self.render_str(printed, **plain)
        with self.capture() as capture:
            Console.print(self, printed)
        return Text.from_ansi(capture.get().rstrip("\n"))

    def _paragraphs(self, text: Text) -> Iterator[Markup]:
        for line in text.split("\n", allow_blank=True):
            if not line.plain.strip():
                continue
            match = INDENT.match(line.plain)
            indent = len(match.group()) if match else 0
            kind = Markup(' class="under"') if indent else Markup("")
            yield Markup("<p{}>{}</p>").format(kind, self.inline(line[indent:]))

    def inline(self, text: Text) -> Markup:
        """Return a text as HTML: it keeps its colors, commands are marked as code, and secrets are masked."""
        ends = [index for match in COMMANDS.finditer(text.plain) for index in match.span()]
        parts = [Markup("").join(self._spans(part)) for part in text.divide(ends)]
        return Markup("").join(
            Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts)
        )

    def _spans(self, text: Text) -> Iterator[Markup]:
        if not text.spans and not text.style:
            yield escape(hide_keys(clean_lines(text.plain)))
            return
        text.end = ""
        for piece, style, _ in text.render(self):
            markup = escape(hide_keys(clean_lines(piece)))
            names = [*_color(style), *(["dim"] if style and style.dim else [])]
            markup = Markup("<b>{}</b>").format(markup) if style and style.bold else markup
            yield Markup('<span class="{}">{}</span>').format(" ".join(names), markup) if names else markup

    def _table(self, table: Table) -> Markup:
        rows = [[self._cell(cell) for cell in cells] for cells, _ in table.rows]
        shown_columns = [index for index, _ in enumerate(table.columns) if any(row[index].plain for row in rows)]
        if not shown_columns:
            return Markup("")
        columns = [table.columns[index] for index in shown_columns]
        cells = [[row[index] for index in shown_columns] for row in rows]
        is_wide = table.header and len(cells) <= MOST_CARDS and _letters_across(columns, cells) > PHONE
        label = Markup(' data-label="{}"') if is_wide else Markup("")
        labels = [label.format(hide_keys(clean(column.name))) for column in columns]
        body = Markup("\n").join(
            Markup("<tr{}>{}</tr>").format(_class_attribute(style), Markup("").join(self._cells(row, columns, labels)))
            for row, (_, style) in zip(cells, table.rows, strict=True)
        )
        head = Markup("").join(
            Markup('<th scope="col">{}</th>').format(hide_keys(clean(column.name))) for column in columns
        )
        top = Markup("<thead><tr>{}</tr></thead>").format(head) if table.header else ""
        return Markup(
            '<div class="scroll" tabindex="0" role="group" aria-label="Table">'
            '<table class="{}">{}<tbody>{}</tbody></table></div>'
        ).format(f"{_kinds(columns)}{' cards' if is_wide else ''}".strip(), top, body)

    def _cell(self, cell: str | Text) -> Text:
        return self.render_str(cell) if isinstance(cell, str) else cell

    def _cells(self, row: Sequence[Text], columns: Sequence[Column], labels: Sequence[Markup]) -> Iterator[Markup]:
        for number, (cell, column, label) in enumerate(zip(row, columns, labels, strict=True)):
            markup = Markup("<br>").join(self.inline(line) for line in cell.split("\n", allow_blank=True))
            if column.name in OF_SYMBOLS and cell.plain and not SPACE.search(cell.plain):
                markup = Markup('<a href="/symbol/{}">{}</a>').format(quote(cell.plain, safe=""), markup)
            if number:
                yield Markup("<td{}>{}</td>").format(label, markup)
            else:
                yield Markup('<th scope="row">{}</th>').format(markup)


def render_html(draw: Callable[[Console], None]) -> Markup:
    """Return a draw function's output as HTML."""
    sheet = Sheet()
    draw(sheet)
    return sheet.html()


def line(markup: str) -> Markup:
    """Return one line of markup as HTML."""
    sheet = Sheet()
    return sheet.inline(sheet.render_str(markup))


def _letters_across(columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> int:
    """Return how many letters a row needs side by side, with gaps."""
    widest = [max(len(column.name), *(row[index].cell_len for row in rows)) for index, column in enumerate(columns)]
    return sum(widest) + GAP * (len(widest) - 1)


def _kinds(columns: Sequence[Column]) -> str:
    """Return the classes of a table that say which columns hold numbers (n) and which sentences (s)."""
    kinds = ("n" if column.is_number else "s" if column.is_sentence else "" for column in columns)
    return " ".join(f"{kind}{index}" for index, kind in enumerate(kinds, 1) if kind)


def _class_attribute(style: str) -> Markup | str:
    return Markup(' class="{}"').format(style) if style else ""


def _color(style: Any) -> list[str]:
    return [style.color.name] if style is not None and style.color is not None else []


Query = Mapping[str, str]
"""The query of a page, by name."""


CSRF = "\x02csrf\x02"
"""The placeholder for a session's CSRF token in forms. Text from outside has no control characters."""
ONCE = "\x02once\x02"
"""The placeholder for the value by which a form is sent once, however often a browser sends it."""


class PagePart(NamedTuple):
    """A part of a page; `make` returns its content, as a verb's report or as HTML.

    `draw` renders a report differently than its verb prints it, and `act` creates forms from the report.
    """

    title: str
    make: Callable[[App], Report | Markup]
    wide: bool = False
    act: Callable[[Report], Iterable[Markup]] | None = None
    draw: Callable[[App, Report], Markup] | None = None


class PageField(NamedTuple):
    """A parameter of a page: `kind` is the type of its input, or the possible choices."""

    name: str
    label: str
    kind: str | Sequence[str] = "text"


class Page(NamedTuple):
    """A page: its name, path, title, parts and parameters; some parameters are only set by links.

    Some pages aren't in the navigation. A page that isn't `is_live` is slow to read, so it is read only when a browser
    loads it.
    """

    name: str
    path: str
    title: str
    parts: Callable[[Query], Sequence[PagePart]]
    fields: Sequence[PageField] = ()
    hidden: Sequence[str] = ()
    is_listed: bool = True
    is_live: bool = True


class CardFigure(NamedTuple):
    """A figure in a card: its name, its value, an explanation, and its color, if any."""

    name: str
    value: str
    note: str = ""
    color: str = ""


def draw_figures(shown: Iterable[CardFigure]) -> Markup:
    """Return figures as a grid of names and values."""
    each = (
        Markup('<div><dt>{}</dt><dd><b class="{}">{}</b><small>{}</small></dd></div>').format(
            figure.name, figure.color, figure.value, figure.note
        )
        for figure in shown
    )
    return Markup('<dl class="figures">{}</dl>').format(Markup("").join(each))


ACROSS, DOWN, MARGIN = 100, 32, 2
"""The size of a sparkline in its own units, and the margin above and below it."""


def draw_prices(prices: Sequence[Decimal], levels: Mapping[str, Decimal]) -> Markup:
    """Return prices as a sparkline, crossed by levels whose names are CSS classes; empty without prices.

    The page must also show the same data as text.
    """
    if not prices:
        return Markup("")
    every = [float(price) for price in (*prices, *levels.values())]
    highest, spread = max(every), max(every) - min(every)

    def height(price: Decimal) -> str:
        down = (highest - float(price)) / spread if spread else 0.5
        return f"{MARGIN + (DOWN - 2 * MARGIN) * down:.1f}"

    last = max(len(prices) - 1, 1)
    # A single price also makes a line.
    drawn = prices if len(prices) > 1 else [*prices, *prices]
    points = " ".join(f"{ACROSS * index / last:.1f},{height(price)}" for index, price in enumerate(drawn))
    lines = Markup("").join(
        Markup('<line class="{}" x1="0" x2="{}" y1="{}" y2="{}"/>').format(name, ACROSS, height(price), height(price))
        for name, price in levels.items()
    )
    return Markup(
        '<svg class="prices" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        '{}<polyline points="{}"/></svg>'
    ).format(ACROSS, DOWN, lines, points)


def draw_shares(shares: Sequence[tuple[str, int, str, str]]) -> Markup:
    """Return parts of a whole as one bar, and each part's name, count, color and meaning."""
    whole, start, drawn = sum(count for _, count, _, _ in shares) or 1, 0, list[Markup]()
    for _, count, color, _ in shares:
        drawn.append(Markup('<rect class="{}" x="{}" width="{}" height="1"/>').format(color, start, count))
        start += count
    rows = Markup("").join(
        Markup('<li class="{}"><b>{:,}</b> <span>{} <small>{}</small></span></li>').format(color, count, name, meaning)
        for name, count, color, meaning in shares
    )
    return Markup(
        '<svg class="shares" viewBox="0 0 {} 1" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
        '<ul class="shares">{}</ul>'
    ).format(whole, Markup("").join(drawn), rows)


def draw_bars(bars: Sequence[tuple[int, str]]) -> Markup:
    """Return counts as a bar chart with colors; the page must also show the same data in a table."""
    most = max((count for count, _ in bars), default=1)
    drawn = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="0.9" height="{}"/>').format(color, index, most - count, count)
        for index, (count, color) in enumerate(bars)
    )
    return Markup(
        '<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(len(bars), most, drawn)


def draw_table(names: Sequence[str], rows: Iterable[Sequence[str | Markup]], kinds_of: Mapping[str, str]) -> Markup:
    """Return rows as a table that becomes cards on a phone; each row begins with its heading.

    `kinds_of` marks the columns that contain numbers (n) or sentences (s).
    """
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in names)
    body = Markup("\n").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            first,
            Markup("").join(
                Markup('<td data-label="{}">{}</td>').format(name, cell)
                for name, cell in zip(names[1:], cells, strict=True)
            ),
        )
        for first, *cells in rows
    )
    kinds = " ".join(f"{kinds_of[name]}{index}" for index, name in enumerate(names, 1) if name in kinds_of)
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="cards {}">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(kinds, head, body)


def link_symbol(name: str) -> Markup:
    """Return a link to a symbol's page, with its name escaped."""
    return Markup('<a href="/symbol/{}">{}</a>').format(quote(name, safe=""), clean(name))


def number_in(query: Query, name: str, usual: int) -> int:
    """Return a whole number from the query; the default if it is missing or invalid."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else usual


def first_row(query: Query, count: int, rows: int) -> int:
    """Return the first row of the requested page, or of the last page if there are fewer rows."""
    requested = number_in(query, "from_row", 0)
    return requested if requested < count else max(count - 1, 0) // rows * rows
