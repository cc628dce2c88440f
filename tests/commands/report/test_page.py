"""The page of a report: it needs no other file, says what the document says, and says what it can't.

The second picture of a page: its parts are there once there is enough to draw, and show what the report has.
"""

import re
from datetime import timedelta
from decimal import Decimal
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from commands.report.chart import NARROW, POINTS_PER_INCH, VARIABLES, WIDE, curve
from commands.report.page import LAST_TRADES, details, page
from commands.report.report_text import (
    band_words,
    chance_figures,
    chance_words,
    costs_words,
    interval_of,
    is_recorded,
    value_of,
)
from commands.shared.verb_options import jsonable
from tests.kit.trades import account, long_backtest, new_account, report, with_trades
from tests.kit.values import there
from tests.suite.tiers import sized
from tradebot.lab.performance.report import AccountReport, Block, PerformanceReport
from tradebot.model.sentences import counted_kind
from tradebot.model.struct_tools import replace

STYLES = Path("commands/report/templates/page.css").read_text(encoding="utf-8")
YEAR, FEW = 300, 3
EMPTY = {"meta", "br"}


class Parsed(HTMLParser):
    """Reads a page strictly: each element is closed by its own end."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts = list[str](), list[tuple[str, dict[str, str]]](), list[str]()
        self.figures = dict[str, tuple[str, str]]()
        self._figure = ""
        self.feed(text)
        self.close()
        assert self.open == [], "these are never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag not in EMPTY:
            self.open.append(tag)
        if "data-figure" in found:
            self._figure = found["data-figure"]
            self.figures[self._figure] = found["value"], ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "data":
            self._figure = ""

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
        if self._figure:
            self.figures[self._figure] = self.figures[self._figure][0], data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def has(self, tag: str, **attributes: str) -> bool:
        return any(tag == name and attributes.items() <= found.items() for name, found in self.tags)


REPORTS: dict[str, Any] = {
    "a year": lambda: report(account(YEAR)),
    "three sessions": lambda: report(account(FEW)),
    "nothing yet": lambda: report(new_account()),
    "two accounts": lambda: report(account(YEAR), account(FEW, 5, "other-state")),
    "two, one of them new": lambda: report(new_account(), account(FEW, 5, "other-state")),
    "a long backtest": lambda: report(long_backtest()),
    "a long backtest beside others": lambda: report(account(FEW), long_backtest()),
    "a strategy": lambda: replace(report(account(FEW)), strategy="flow", symbol="AAPL"),
}

SAMPLED = ["a year", "three sessions", "nothing yet", "two accounts", "a long backtest", "a strategy"]
"""Those whose pages other tests read too: drawing them takes most of the time."""


class Shown(NamedTuple):
    """A report, its page, and the page as it was read."""

    data: PerformanceReport
    text: str
    parsed: Parsed


@cache
def shown(kind: str) -> Shown:
    """Return a report of a kind with its page, which is made once."""
    data = REPORTS[kind]()
    return Shown(data, text := page(data), Parsed(text))


@pytest.mark.campaign
@pytest.mark.parametrize("kind", REPORTS)
def test_page_is_valid_and_loads_nothing(kind: str) -> None:
    data, text, parsed = shown(kind)
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch("h[1-6]", tag)]
    assert (levels[0], levels.count(1)) == (1, len(data.accounts))
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert not re.search(r"[a-z]+://|//\w|url\(|@import", text)
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "base"})
    assert not any({"src", "href", "srcset", "xlink:href"} & found.keys() for _, found in parsed.tags)
    ids = [found["id"] for _, found in parsed.tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert all(found["aria-labelledby"] in ids for _, found in parsed.tags if "aria-labelledby" in found)
    assert {found.get("scope") for tag, found in parsed.tags if tag == "th"} <= {"row", "col"}
    assert len(text) < 220_000


@pytest.mark.sampled
@pytest.mark.parametrize("kind", sized(SAMPLED, [*REPORTS]))
def test_page_figures_equal_the_documents(kind: str) -> None:
    data, _, parsed = shown(kind)
    document: Any = jsonable(data)
    for place, each in enumerate(document["accounts"]):
        for block, rows in (("returns", "returns"), ("activity", "activity"), ("trades", "trade_figures")):
            known = {row["name"]: row["value"] for row in each[rows] if row["value"] is not None}
            on_page = {
                name.rpartition(".")[2]: float(value)
                for name, (value, _) in parsed.figures.items()
                if name.startswith(f"{place}.{block}.")
            }
            assert on_page == known
        profit, _ = parsed.figures.get(f"{place}.earned.profit_usd", (None, ""))
        assert profit == (each["earned"]["profit_usd"] if is_recorded(data.accounts[place]) else None)
        for row in (*each["returns"], *each["activity"], *each["trade_figures"]):
            if row["observations"] < row["needed"]:
                assert f"{row['observations']:,} of {counted_kind(row['needed'], row['of'])}" in parsed.text


def test_page_shows_months_trades_cuts_and_drawdowns() -> None:
    text, of = shown("a year").parsed.text.replace("−", "-"), account(YEAR)
    for year in of.years:
        known = [month.value for month in year.months if month.value is not None]
        assert f"{year.year} {' '.join(f'{100 * value:+.1f}' for value in known)}".replace("-0.0", "+0.0") in text
    best = max(of.trades, key=lambda trade: trade.net_usd)
    worst = min(of.trades, key=lambda trade: trade.net_usd)
    for trade in (best, worst, of.trades[-1]):
        assert f"{trade.net_usd:+,.2f}" in text
    for row in (row for cut in of.cuts for row in cut.rows):
        assert row.name in text
        assert f"{row.total_usd:+,.2f}" in text
    for fall in of.drawdowns:
        assert f"{100 * fall.depth:+.2f}% {fall.from_session} {fall.trough}" in text
    assert "What was refused would have lost 123.40 USD." in text
    for block in of.assumptions.values():
        assert all(" ".join(sentence.split()) in text for sentence in block)


def test_page_of_a_long_backtest_shows_every_further_part() -> None:
    of, text = long_backtest(), shown("a long backtest").parsed.text.replace("−", "-")
    further = of.further
    assert further.costs is not None
    assert further.sensitivity is not None
    assert further.sensitivity.band is not None
    for year in further.by_year:
        assert f"{year.year} {100 * (year.value or 0):+.1f} {100 * (year.benchmark or 0):+.1f}" in text
    for row in (*further.costs.rows, further.costs.total):
        assert f"{row.label} {row.usd:,.2f} {row.bps:.1f}" in text
    for figure in (*further.rolling, *chance_figures(of)):
        assert f"{figure.label} {value_of(figure)} {interval_of(figure)}".strip() in text
    for variant in further.sensitivity.rows:
        assert f"{variant.name} {100 * (variant.cagr or 0):+.2f}%" in text
    for sentence in (*further.cautions, band_words(further.sensitivity), costs_words(further.costs), chance_words(of)):
        assert sentence in text
    for block in (Block.YEARS, Block.ROLLING, Block.COSTS, Block.CHANCE, Block.SENSITIVITY):
        assert of.assumptions[block]
        assert all(" ".join(sentence.split()) in text for sentence in of.assumptions[block])
    assert shown("a long backtest").parsed.has("line", **{"class": "played"})


def test_page_shows_no_result_for_a_held_position() -> None:
    of = account(FEW)
    held = replace(of.trades[0], closed_at=None, exit_price=None, net_usd=Decimal(0), fraction=None, reasons=())
    row = page(report(replace(of, trades=(held,)))).split('<table class="stack trades">')[1]
    assert (">held</td>" in row, 'data-label="net USD"></td>' in row) == (True, True)


def test_page_of_a_short_report_says_what_is_unknown() -> None:
    little = shown("three sessions").parsed.text
    assert little.index("It is too early to tell skill from luck. There are 3 session returns") < little.index("Growth")
    assert all(sentence in little for sentence in account(FEW).unknown)
    nothing = shown("nothing yet").parsed.text
    for sentence in (
        "The account has no records yet.",
        "No session yet, sandbox account …0001.",
        "No session's equity is known in this span, so there is no curve.",
        "No month has a return yet.",
        "Nothing was earned or lost yet",
        "No trade is closed yet.",
        "None is known yet. It takes the end of one session.",
        "Not known: no refused trade has an outcome",
    ):
        assert sentence in nothing


def test_page_shows_two_accounts_side_by_side() -> None:
    parsed = shown("two accounts").parsed
    assert all(f"var(--account{place})" in shown("two accounts").text.split("<figure")[1] for place in (0, 1))
    assert "figure state other-state" in parsed.text
    assert parsed.text.count("Best and worst trades") == 2


def test_page_of_one_account_hides_its_folder() -> None:
    assert "/somewhere/state" not in page(report(account(FEW, 1, "/somewhere/state")))


def test_page_tells_the_chosen_part_from_the_whole_account() -> None:
    text = shown("a strategy").parsed.text
    assert "flow in AAPL earned" in text
    assert "value at the start" not in text
    assert text.count("This is the whole account's, not only that of flow in AAPL.") == 6


def test_page_escapes_foreign_names() -> None:
    evil = "<b onclick='x'>&\x1b[2J</b>"
    of = account(FEW)
    (first, *others) = of.trades
    (cut, *cuts) = of.cuts
    changed = replace(
        of,
        trades=(replace(first, strategy=evil, symbol=evil, reasons=(evil,)), *others),
        cuts=(replace(cut, rows=(replace(cut.rows[0], name=evil), *cut.rows[1:])), *cuts),
        unknown=(evil,),
        benchmark=evil,
    )
    text = page(replace(report(changed, replace(changed, label=evil)), strategy=evil))
    assert evil.replace("\x1b", " ") in Parsed(text).text
    assert not Parsed(text).has("b", onclick="x")
    assert "\x1b" not in text


def test_page_lists_the_last_trades_and_says_where_the_others_are() -> None:
    many = with_trades(account(YEAR), 10_000)
    text = page(report(many))
    assert len(text.encode()) < 300_000
    assert f"These are the last {LAST_TRADES} of 10,000 trades." in Parsed(text).text
    assert "tradebot trades --csv trades.csv" in text
    assert many.trades[-1].closed_at
    assert f"{many.trades[-1].closed_at:%Y-%m-%d}" in text


def themes() -> dict[str, dict[str, str]]:
    """Return the variables of each theme: on a light screen, on a dark one, and on paper."""
    blocks = re.findall(r":root \{(.*?)\}", STYLES, re.DOTALL)
    names = ("light", "dark", "paper")
    return {name: dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for name, block in zip(names, blocks, strict=True)}


def test_each_theme_has_every_color() -> None:
    of_any_account = {"account"}
    used = {*re.findall(r"var\(--([\w-]+)\)", STYLES), *VARIABLES.values()} - of_any_account
    assert {name: set(colors) for name, colors in themes().items()} == dict.fromkeys(themes(), used)
    text = shown("three sessions").text
    assert "@media (prefers-color-scheme: dark)" in text
    assert '<meta name="color-scheme" content="light dark">' in text


def luminance(color: str) -> float:
    digits = color.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * each for each in digits)
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark", "paper"])
@pytest.mark.parametrize("color", ["ink", "quiet", "gain", "loss"])
@pytest.mark.parametrize("behind", ["paper", "card"])
def test_text_contrasts_with_its_background_in_every_theme(theme: str, color: str, behind: str) -> None:
    colors = themes()[theme]
    dark, light = sorted((luminance(colors[color]), luminance(colors[behind])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_page_of_a_backtest_shows_assumptions_halts_and_targets_that_were_not_held() -> None:
    why, settings = "DRAWDOWN_REACHED: 0.103 against 0.1", ["halts.drawdown_fraction"]
    halts = [{"at": "2026-11-17T14:31:00Z", "why": why, "settings": settings}]
    assumptions = [{"name": "day_prices", "value": "close", "remark": "it looks ahead", "is_loud": True}]
    targets = {"said": ["reached in 0 of 60 rebalances", "stopped by SYMBOL_NOTIONAL_ABOVE_MAX in 60"]}
    kept = {"result": {"halts": 3 * halts, "targets": targets}, "assumptions": assumptions}
    parsed = Parsed(page(report(account(FEW)), [kept]))
    assert "reached in 0 of 60 rebalances. Stopped by SYMBOL_NOTIONAL_ABOVE_MAX in 60. It was halted" in parsed.text
    assert (
        "It was halted at 2026-11-17 09:31:00 ET: DRAWDOWN_REACHED: 0.103 against 0.1. 2 more halts followed. "
        "The halt was never ended, so no position was opened after it. "
        "To let it go on, loosen halts.drawdown_fraction and play it again."
    ) in parsed.text
    refused = {"strategy": "mine", "at": "2026-11-17T14:31:00Z", "reason": "STRATEGY_INVALID", "why": "no <weight>"}
    ended = {"refused": [refused], "halts": [{**halts[0], "ended": "2026-11-24T14:30:00Z"}]}
    text = Parsed(page(report(account(FEW)), [{**kept, "result": ended}])).text
    assert "against 0.1. A person ended it, as the backtest assumes." in text
    assert "Nobody was there" not in text
    assert "Answers of mine were refused, the first at 2026-11-17 09:31:00 ET: STRATEGY_INVALID: no <weight>." in text
    assert ", played in a backtest. The account" in parsed.text
    assert "What it assumes what value and that is day prices close it looks ahead" in parsed.text
    assert parsed.has("strong", **{"class": "down"})


@cache
def drawn() -> dict[str, Any]:
    return there(details(long_backtest(300)))


def texts(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</text>", svg)


def test_year_has_holdings_half_years_and_the_spread_of_returns() -> None:
    shown = texts(drawn()["wide"])
    assert {"held", "volatility", "Sharpe", "beta", "sessions", "AAPL", "MSFT", "NVDA", "0%"} <= set(shown)
    assert "#" not in drawn()["wide"], "each color is one of the page"
    assert drawn()["words"] == (
        "From above: positions (fraction of equity), the volatility of the half year until each session, its Sharpe "
        "ratio, its beta, the number of sessions by their return."
    )


def test_many_symbols_share_a_color_and_shorts_lie_below() -> None:
    of = long_backtest(300)
    (first, *_) = of.further.holdings
    many = tuple(replace(first, symbol=name) for name in ("_a", "B", "C", "D", "E", "F", "G"))
    rows = tuple(replace(row, held={"_a": -0.5, "F": 0.25, "G": 0.25}) for row in of.further.over_time)
    alone = replace(of.further, holdings=many, over_time=rows, windows=(), histogram=())
    shown = texts(there(details(replace(of, further=alone)))["narrow"])  # type: ignore[arg-type]
    assert {"_a", "E", "2 others", "−50%", "50%"} <= set(shown)
    assert "F" not in shown


LONG = 300


def drawn_curve(*accounts: AccountReport) -> str:
    found = curve(accounts)
    assert found
    return str(found["wide"])


def legend(svg: str) -> list[str]:
    return [text.rpartition(" ")[0] for text in texts(svg) if re.search(r" [+−][\d.]+%$", text)]


def path(svg: str, color: str, *, is_area: bool = False) -> str:
    """Return the longest path of a line or an area in a color of the page."""
    kind = "fill" if is_area else "stroke"
    found: list[str] = re.findall(rf'<path d="([^"]+)" style="[^"]*\b{kind}: var\(--{color}\)', svg)
    return max(found, key=len)


def points(of: str) -> list[tuple[float, float]]:
    numbers = [float(each) for each in re.findall(r"-?[\d.]+", of)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def longer(of: AccountReport, times: int) -> AccountReport:
    length = of.curve[-1].at - of.curve[0].at + timedelta(days=1)
    curve = tuple(replace(each, at=each.at + turn * length) for turn in range(times) for each in of.curve)
    return replace(of, curve=curve)


def test_picture_shows_the_account_and_what_it_is_compared_with() -> None:
    svg = drawn_curve(account(LONG))
    assert legend(svg) == ["sandbox account", "SPY", "SPY at 4%", "cash"]
    assert f"sandbox account {100 * (account(LONG).curve[-1].index - 1):+.2f}%" in texts(svg)
    assert "#" not in svg, "each color is one of the page"


@pytest.mark.parametrize(("size", "name"), [(WIDE, "wide"), (NARROW, "narrow")])
def test_long_curve_is_thinned_but_keeps_its_ends_and_its_lowest_point(size: tuple[float, float], name: str) -> None:
    long = longer(account(LONG), 20)
    found = curve([long])
    assert found
    shown = points(path(str(found[name]), "account0", is_area=True))[1:-1]
    assert len(shown) <= POINTS_PER_INCH * size[0]
    lowest = min(long.curve, key=lambda point: point.drawdown)
    across = (lowest.at - long.curve[0].at) / (long.curve[-1].at - long.curve[0].at)
    deepest = max(shown, key=lambda point: point[1])
    assert (deepest[0] - shown[0][0]) / (shown[-1][0] - shown[0][0]) == pytest.approx(across, abs=0.005)


def test_line_is_broken_where_nothing_is_known_and_missing_if_nothing_ever_is() -> None:
    of = account(LONG)
    holed = replace(of, curve=(*of.curve[:10], replace(of.curve[10], benchmark_leveled=None), *of.curve[11:]))
    assert (path(drawn_curve(holed), "account0").count("M"), path(drawn_curve(holed), "leveled").count("M")) == (1, 2)
    assert "SPY" not in legend(
        drawn_curve(replace(of, curve=tuple(replace(each, benchmark=None) for each in of.curve)))
    )


def test_accounts_side_by_side_share_one_benchmark_and_keep_any_name() -> None:
    names = ("_$one$", "<two> d=1.2345")
    svg = drawn_curve(*(account(LONG, seed, name) for seed, name in enumerate(names)), new_account())
    assert legend(svg) == ["_$one$", "&lt;two&gt; d=1.2345", "SPY", "cash"]


def test_accounts_without_two_points_have_no_picture() -> None:
    assert curve([new_account()]) is None


def test_deepest_drawdowns_are_shaded_on_the_curve_of_one_account() -> None:
    of = account(LONG)
    shades = re.findall(r'<path d="([^"]+)" style="fill: var\(--quiet\); fill-opacity: 0.15"', drawn_curve(of))
    assert len(shades) == len(of.drawdowns) == 5
    across = [place for place, _ in points(path(drawn_curve(of), "account0"))]
    first, length = of.curve[0].at, of.curve[-1].at - of.curve[0].at
    at = {p.session: across[0] + (across[-1] - across[0]) * ((p.at - first) / length) for p in of.curve}
    for shade, fall in zip(shades, of.drawdowns, strict=True):
        ends = sorted({place for place, _ in points(shade)})
        assert ends == pytest.approx([at[fall.from_session], at[fall.recovered or of.curve[-1].session]], abs=0.2)
    assert "fill-opacity: 0.15" not in drawn_curve(of, account(LONG, 2, "other"))


@pytest.mark.parametrize(("times", "label"), [(2.9, "growth"), (3.1, "growth, log scale")])
def test_growth_is_on_a_log_scale_once_its_highest_is_three_times_its_lowest(times: float, label: str) -> None:
    of = account(FEW)
    values = (1.0, 1.2, 1.3, times)
    grown = replace(of, curve=tuple(replace(p, index=v, benchmark=None) for p, v in zip(of.curve, values, strict=True)))
    shown = texts(drawn_curve(grown))
    assert label in shown
    assert ("+50%" in shown, "+100%" in shown) == (True, True)
