"""What a verb prints, as HTML: the same words and figures, and no text that could be more than a text."""

import re
from decimal import Decimal
from html.parser import HTMLParser
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from commands.shared.tables import Table, fold, number, sentence
from commands.web.html_rendering import MOST_CARDS, draw_prices, draw_shares, line, render_html
from tradebot.adapters.text import redaction

HOSTILE = "\"><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>&amp;\x1b]0;a\x07\u202e"
TAGS = frozenset(["p", "b", "span", "div", "table", "thead", "tbody", "tr", "th", "td", "br", "code", "a"])
ATTRIBUTES = frozenset({"class", "scope", "tabindex", "role", "aria-label", "data-label", "href"})


class Seen(HTMLParser):
    """What a browser would make of it: tags, attributes, and the text alone."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(str(html))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


def table(*cells: str | Text) -> Table:
    made = Table("symbol", number("qty"), sentence("why", "why"), "empty")
    made.row(*cells, "", style="yellow")
    return made


def test_lines_become_paragraphs_in_their_colors_and_numbers_keep_their_place() -> None:
    html = render_html(
        lambda console: console.print("Equity [bold]1,000.00[/bold] USD\n  [red]failed[/]: [dim]old[/]\n\n")
    )
    assert html.splitlines() == [
        "<p>Equity <b>1,000.00</b> USD</p>",
        '<p class="under"><span class="red">failed</span>: <span class="dim">old</span></p>',
    ]


def test_a_table_keeps_its_headings_and_rows_and_leaves_empty_columns_out() -> None:
    html = render_html(lambda console: console.print(table("AAPL", "1.50", "[green]cheap[/] enough")))
    seen = Seen(html)
    assert [tag for tag in seen.tags if tag not in ("div", "span", "a")] == [
        *("table", "thead", "tr", "th", "th", "th", "tbody", "tr", "th", "td", "td")
    ]
    assert (seen.attributes.count(("scope", "col")), seen.attributes.count(("scope", "row"))) == (3, 1)
    assert "".join(seen.text.split()) == "symbolqtywhyAAPL1.50cheapenough"
    assert '<tr class="yellow">' in html
    assert "empty" not in html


def test_commands_are_marked_as_such_whole() -> None:
    html = render_html(lambda console: console.print("Next: tradebot halt --reason TEXT, then look."))
    assert "<code>tradebot halt --reason TEXT</code>, then look." in html


@pytest.mark.parametrize("markup", [True, False])
def test_a_hostile_text_stays_a_text_in_lines_cells_and_headings(markup: bool) -> None:
    def draw(console: Console) -> None:
        console.print(HOSTILE, markup=markup)
        console.print(Text(HOSTILE, "red"))
        console.print(table(HOSTILE, Text(HOSTILE), f"tradebot halt --reason '{HOSTILE}'"))
        named = Table(HOSTILE, number("n"))
        named.row("", "1")
        named.row("a", "1")
        console.print(named)

    seen = Seen(render_html(draw))
    assert set(seen.tags) <= TAGS
    assert {name for name, _ in seen.attributes} <= ATTRIBUTES
    assert seen.text.count("<script>window.hacked=1</script>") == 6
    assert not [letter for letter in seen.text.replace("\n", "") if not letter.isprintable()]


@settings(max_examples=25)
@given(st.text(), st.text(), st.text())
def test_no_text_makes_a_tag_or_loses_its_words(first: str, second: str, third: str) -> None:
    seen = Seen(render_html(lambda console: console.print(table(Text(first), Text(second), Text(third)))))
    assert set(seen.tags) <= TAGS
    assert {name for name, _ in seen.attributes} <= ATTRIBUTES
    assert all(str(value).startswith("/symbol/") for name, value in seen.attributes if name == "href")
    for text in (first, second, third):
        shown = "".join(letter for letter in text if letter.isprintable() and not letter.isspace())
        assert shown in "".join(seen.text.split())


def test_keys_are_hidden_in_lines_cells_and_headings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", {})
    redaction.learn("very-secret-key")

    def draw(console: Console) -> None:
        console.print("it is very-secret-key")
        made = Table("very-secret-key")
        made.row("very-secret-key")
        console.print(made)

    assert "very-secret-key" not in render_html(draw)
    assert line("[red]very-secret-key[/]") == '<span class="red">[hidden]</span>'


def points_of(svg: str) -> list[tuple[float, float]]:
    """Return the points of a line of prices."""
    (points,) = [dict(Seen(svg).attributes)["points"]]
    assert points is not None
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


def test_prices_go_up_across_the_drawing_and_levels_lie_at_their_height() -> None:
    svg = draw_prices([Decimal(10), Decimal(12), Decimal(11)], {"stop": Decimal(8), "target": Decimal(12)})
    points = points_of(svg)
    assert [x for x, _ in points] == [0, 50, 100]
    assert points[1][1] < points[2][1] < points[0][1]
    heights = [float(value or "") for name, value in Seen(svg).attributes if name == "y1"]
    assert heights[1] == points[1][1]
    assert heights[0] == max(y for _, y in points) + (heights[0] - points[0][1]) > points[0][1]
    assert all(0 <= y <= 32 for y in (*heights, *(y for _, y in points)))


def test_a_single_price_and_equal_ones_are_a_level_line_and_none_is_nothing() -> None:
    assert draw_prices([], {"stop": Decimal(1)}) == ""
    assert points_of(draw_prices([Decimal(5)], {})) == [(0, 16), (100, 16)]
    assert {y for _, y in points_of(draw_prices([Decimal(5)] * 3, {}))} == {16}


def test_shares_fill_the_bar_one_after_the_other_and_their_texts_stay_texts() -> None:
    svg = draw_shares([("sent", 2, "green", "yes"), (HOSTILE, 1_000, "red", HOSTILE)])
    seen = Seen(svg)
    assert [value for name, value in seen.attributes if name in ("x", "width")] == ["0", "2", "2", "1000"]
    assert ("viewbox", "0 0 1002 1") in seen.attributes
    assert "1,000" in seen.text
    assert not {"script", "img"} & set(seen.tags)
    assert "rect" not in Seen(draw_shares([])).tags


@pytest.mark.parametrize(("letters", "rows", "has_cards"), [(37, 1, True), (36, 1, False), (37, 151, False)])
def test_rows_that_are_too_wide_for_a_phone_become_cards_with_labels(letters: int, rows: int, has_cards: bool) -> None:
    assert MOST_CARDS == 150
    made = Table("symbol", number("qty"), HOSTILE[:2])
    for _ in range(rows):
        made.row("A" * letters, "1.00", "b")
    seen = Seen(render_html(lambda console: console.print(made)))
    labels = [value for name, value in seen.attributes if name == "data-label"]
    assert labels == (["qty", HOSTILE[:2]] if has_cards else [])
    assert ("cards" in str(dict(seen.attributes)["class"]).split()) is has_cards


def test_cells_of_symbols_link_to_their_pages_and_no_others_do() -> None:
    made = Table("symbol", "nearest miss", "strategy")
    made.row("BTC/USD", "[red]AAPL[/]", "flow")
    made.row("two words", "", "flow")
    links = re.findall(r'<a href="(.*?)">(.*?)</a>', render_html(lambda console: console.print(made)))
    assert links == [("/symbol/BTC%2FUSD", "BTC/USD"), ("/symbol/AAPL", '<span class="red">AAPL</span>')]


def test_a_part_is_folded_on_a_page_and_printed_at_a_terminal() -> None:
    def draw(console: Console) -> None:
        fold(console, HOSTILE, lambda inner: inner.print("inside"))

    seen = Seen(render_html(draw))
    assert seen.tags == ["details", "summary", "p"]
    assert "inside" in seen.text
    printed = Console(file=StringIO(), width=100)
    draw(printed)
    assert printed.file.getvalue() == "inside\n"  # type: ignore[attr-defined] # it is text in memory
