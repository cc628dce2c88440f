"""Print tables for people. Numbers line up, and commands aren't broken across lines.

On a narrow screen, other cells move below their row. All output goes through here, so this is where control characters
are removed from foreign text.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from commands.shared.hints import with_bot_options
from commands.shared.light_helpers import WORD, clean, clean_lines
from commands.shared.number_format import STATE_STYLE, color_state
from commands.shared.times import for_reader
from tradebot.adapters.text.redaction import hide_keys
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.sentences import counted_kind, span

GAP, INDENT = "  ", "    "
READABLE, LINES = 30, 4
"""The minimum width of a column of sentences, unless nearly all are shorter, and the most lines per sentence."""
LONGEST_NUMBER = 24
"""A cell in a column of numbers that is longer than this contains words, and moves under its row."""


class Column(Struct, frozen=True):
    """One column: numbers are right-aligned, sentences may take several lines, and other texts stay on one line.

    A cell that moves below its row is shown after its label, unless it is a sentence. A column that `stays` is among
    the last to move.
    """

    name: str
    label: str = ""
    stays: bool = False
    is_number: bool = False
    is_sentence: bool = False


def number(name: str) -> Column:
    """Return a column of numbers."""
    return Column(name, name, is_number=True)


def last_folded_column(name: str) -> Column:
    """Return a text column that is the last to move below its row in a narrow table."""
    return Column(name, name, stays=True)


def sentence(name: str, label: str = "") -> Column:
    """Return a column of sentences."""
    return Column(name, label, is_sentence=True)


class _Layout(Struct, frozen=True):
    """The columns that are shown side by side, by index, with their widths; the others move under their row."""

    widths: dict[int, int]
    columns: Sequence[Column]

    def has(self, index: int, cell: Text) -> bool:
        """Return True if a cell fits into its column."""
        width = self.widths.get(index, 0)
        if not self.columns[index].is_sentence:
            return cell.cell_len <= width
        whole = all(_wide(part[0]) <= width for part in re.finditer(WORD, cell.plain))
        return whole and cell.cell_len <= LINES * width


class Table:
    """Rows under headings. Cells are markup, as in rich's own tables; empty columns are not shown."""

    def __init__(self, *columns: Column | str, header: bool = True) -> None:
        self.columns = tuple(Column(each, each) if isinstance(each, str) else each for each in columns)
        self.header = header
        self.rows: list[tuple[tuple[str | Text, ...], str]] = []

    def row(self, *cells: str | Text, style: str = "") -> None:
        """Add a row, a cell for each column."""
        self.rows.append((cells, style))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> Iterator[Text]:
        """Yield the lines at the width of the console."""
        text = console.render_str
        rows = [
            (tuple(text(cell) if isinstance(cell, str) else cell for cell in cells), style)
            for cells, style in self.rows
        ]
        layout = _layout(self.columns, [cells for cells, _ in rows], options.max_width, header=self.header)
        if self.header:
            names = [Text(column.name, "bold") for column in self.columns]
            yield from _side_by_side(names, layout)
        for cells, style in rows:
            for line in (*_side_by_side(cells, layout), *_under(cells, layout, options.max_width)):
                line.stylize_before(style)
                yield line


def _layout(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int, *, header: bool) -> _Layout:
    """Move columns under their rows until the rest fits: sentences first, then words, numbers last."""
    names = [column.name if header else "" for column in columns]
    cells = [[row[index] for row in rows] for index in range(len(columns))]
    shown = [index for index, column in enumerate(columns) if any(_stands(column, cell) for cell in cells[index])]
    most = {column: _natural(columns[column], names[column], cells[column]) for column in shown}
    least = {column: _least(columns[column], names[column], cells[column], most[column]) for column in shown}
    for column_index in sorted(shown[1:], key=lambda column: (_rank(columns[column]), -column)):
        if _total(least) > width:
            del least[column_index]
    spare = width - _total(least)
    for column_index, narrowest in least.items():
        more = min(max(spare, 0), most[column_index] - narrowest)
        least[column_index], spare = narrowest + more, spare - more
    return _Layout(least, columns)


def _stands(column: Column, cell: Text) -> bool:
    """Return True if a cell justifies showing its column; words among numbers don't."""
    return bool(cell.plain) and not (column.is_number and cell.cell_len > LONGEST_NUMBER)


def _rank(column: Column) -> int:
    return 0 if column.is_sentence else 3 if column.stays else 2 if column.is_number else 1


def _natural(column: Column, name: str, cells: Iterable[Text]) -> int:
    widths = [line.cell_len for cell in cells for line in cell.split("\n")]
    return max([len(name), *(width for width in widths if not (column.is_number and width > LONGEST_NUMBER))])


def _least(column: Column, name: str, cells: Sequence[Text], most: int) -> int:
    if not column.is_sentence:
        return most
    lengths = sorted(cell.cell_len for cell in cells)
    return max(len(name), min(READABLE, lengths[len(lengths) * 9 // 10]))


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * max(len(widths) - 1, 0)


def _side_by_side(cells: Sequence[Text], layout: _Layout) -> Iterator[Text]:
    shown = [
        wrap_cells(cells[column], width) if layout.has(column, cells[column]) else []
        for column, width in layout.widths.items()
    ]
    for index in range(max(map(len, shown), default=0)):
        parts = (
            _pad(lines[index] if index < len(lines) else Text(), width, right=layout.columns[column].is_number)
            for lines, (column, width) in zip(shown, layout.widths.items(), strict=True)
        )
        line = Text(GAP).join(parts)
        line.rstrip()
        yield line


def _pad(cell: Text, width: int, *, right: bool) -> Text:
    blank = Text(" " * max(width - cell.cell_len, 0))
    return blank + cell if right else cell + blank


def _under(cells: Sequence[Text], layout: _Layout, width: int) -> Iterator[Text]:
    """Yield the cells that moved under their row, numbers and names first, then sentences."""
    moved = [
        (column, cell)
        for index, (column, cell) in enumerate(zip(layout.columns, cells, strict=True))
        if cell.plain and not layout.has(index, cell) and (column.name or column.label)
    ]
    room = width - len(INDENT)
    beside = sorted((each for each in moved if _is_short(*each)), key=lambda each: -_rank(each[0]))
    alone = (each for each in moved if not _is_short(*each))
    sentences = (line for each in alone for line in wrap_cells(_with_label(*each), room))
    for line in (*_fill_lines([_with_label(*each) for each in beside], room), *sentences):
        yield Text(INDENT) + line


def _is_short(column: Column, cell: Text) -> bool:
    """Return True for a cell with a label that leaves room for others on its line."""
    return bool(column.label) and "\n" not in cell.plain and cell.cell_len <= READABLE


def _with_label(column: Column, cell: Text) -> Text:
    return Text(f"{column.label} ") + cell if column.label else cell


def _fill_lines(parts: Sequence[Text], room: int) -> Iterator[Text]:
    line = Text()
    for part in parts:
        if line.plain and line.cell_len + len(GAP) + part.cell_len > room:
            yield from wrap_cells(line, room)
            line = Text()
        line = line + GAP + part if line.plain else part
    if line.plain:
        yield from wrap_cells(line, room)


LABEL = re.compile(r" *(?:\d+\. |\S+ {2,})?")
"""The indentation of a sentence's further lines: its own, and a number or a label with two spaces."""
DEEPEST = 16
"""The longest label that further lines are indented by; a longer one is wrapped normally."""


def wrap_cells(text: Text, width: int) -> list[Text]:
    """Return a text in lines of at most `width` cells; only an unbreakable part may be wider."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks, start = [], 0
        for word in re.finditer(WORD, line.plain):
            if line.plain[start : word.start()].strip() and _wide(line.plain[start : word.end()]) > width:
                breaks.append(start := word.start())
        lines += line.divide(breaks)
    for line in lines:
        line.rstrip()
    return lines


def hanging_indent(text: Text, width: int) -> Text:
    """Return a wrapped text, with further lines indented under the first."""
    texts = [line for each in text.split("\n", allow_blank=True) for line in _hung(each, width)]
    return Text("\n").join(texts)


def _hung(line: Text, width: int) -> list[Text]:
    label = LABEL.match(line.plain)
    indent = len(line.plain) - len(line.plain.lstrip())
    labelled = label is not None and indent < label.end() <= DEEPEST
    start, depth = (label.end(), label.end()) if label and labelled else (indent, indent + 2)
    body = line[start:]
    first, *_ = wrap_cells(body, width - start)
    rest = body[len(first) :]
    further = wrap_cells(rest[len(rest) - len(rest.plain.lstrip()) :], width - depth) if rest.plain.strip() else []
    return [line[:start] + first, *(Text(" " * depth) + each for each in further)]


def _wide(text: str) -> int:
    return cell_len(text.rstrip())


def counted_states(judgments: Iterable[Judgment]) -> dict[str, int]:
    """Return how many judgments have each state."""
    counts = Counter(each.state for each in judgments)
    return {state.value: counts[state] for state in HealthState}


def counts(states: Mapping[str, int]) -> str:
    """Return how many judgments have each state, as markup in the states' colors."""
    return ", ".join(f"[{STATE_STYLE[name]}]{count} {name}[/]" for name, count in states.items() if count)


def table(judgments: Iterable[Judgment], *, with_next: bool = True) -> Table:
    """Return a table with a row for each judgment; `with_next` is False for a screen that already shows the next step.

    If several findings have the same cause, only the first one shows it.
    """
    rows, causes = (
        Table("state", last_folded_column("subject"), sentence("found"), header=False),
        dict[tuple[str, str], str](),
    )
    for each in judgments:
        first = causes.setdefault((each.found, each.next), each.subject) if each.next else each.subject
        following = f"\n[bold]next:[/] {escape(clean(each.next))}" if with_next and each.next else ""
        text = f"{escape(clean(each.found))}{_evidence(each)}{following}"
        rows.row(color_state(each.state), each.subject, text if first == each.subject else f"as {first}, above")
    return rows


def _evidence(judgment: Judgment) -> str:
    age = f", {span(judgment.age_s)} old" if judgment.age_s else ""
    return f" [dim]({counted_kind(judgment.count, judgment.looked_at)}{age})[/]" if judgment.count else ""


def has_letters(console: Console) -> bool:
    """Return True if a console shows all letters with the same width, so that letters can draw a curve."""
    return getattr(console, "has_letters", True)


def explains(console: Console) -> bool:
    """Return True if definitions, sources and all rows are shown: on a page, or on a screen with --explain."""
    return getattr(console, "explains", True)


def can_fold(console: Console) -> bool:
    """Return True if parts of the output can be folded, which only a page can do."""
    return hasattr(console, "fold")


def fold(console: Console, title: str, draw: Callable[[Console], None]) -> None:
    """Print a part of the output under a title, folded if the console can do that."""
    if can_fold(console):
        console.fold(title, draw)  # type: ignore[attr-defined] # it was asked for
    else:
        draw(console)


class Screen(Console):
    """A rich console that adds the folder to each command it shows, and removes foreign control characters."""

    explains = True

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the output with rich's own control codes, but without any in the texts."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else hide_keys(clean_lines(text)), style, control)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; lines are broken between words, never inside a command or a path, or not at all with soft_wrap."""
        if not options.get("soft_wrap") and all(isinstance(part, str | Text | Table) for part in objects):
            plain = {"markup": False} if options.get("markup") is False else {}
            texts = (self.render_str(part, **plain) if isinstance(part, str) else part for part in objects)
            objects = tuple(hanging_indent(part, self.width) if isinstance(part, Text) else part for part in texts)
            options["soft_wrap"] = True
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text of a line or a table's cell, with its commands ready to type."""
        written = str if options.get("markup") is False else escape
        try:
            return super().render_str(with_bot_options(for_reader(text), written), **options)
        except MarkupError:
            # This is foreign text that wasn't escaped. A finished pass must not fail while showing its result.
            return super().render_str(with_bot_options(for_reader(text), str), **options | {"markup": False})
