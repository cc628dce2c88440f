"""`tradebot report`: the same figures on the screen, in the document and in pictures, from books written for it.

`--frame`: four files by one name, the same as CSV and as Parquet, and no other ending.

What the screen and the page of a report say alike, and the page's whole sentences.
"""

import re
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from commands.compare.report import ComparedRun, ReadRun, compare_reports, run_words
from commands.report.extended_screen import short_percentage
from commands.report.page import page
from commands.report.report_inputs import save
from commands.report.report_text import (
    band_words,
    chance_sentences,
    costs_words,
    figures_side_by_side,
    headline,
    interruption,
    opening_sentence,
    span,
)
from commands.report.screen import GrowthLine, Place, draw_lines, render
from commands.shared.verb_options import console
from tests.kit.bot.folder import Bot, typed
from tests.kit.trades import account, long_backtest, new_account, report, rotated
from tests.kit.values import fill
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.evidence import TRIALS, write_evidence
from tradebot.errors import OperatorError
from tradebot.lab.performance.frames import Frames, frames
from tradebot.lab.performance.report import AccountReport, Block, Figure
from tradebot.model.candidate import Side
from tradebot.model.evidence import DatedRate, DayPrice, Evidence, Variant, VariantKind
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace


def on(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def booked(folder: Path) -> None:
    """Write a trade into each of three sessions of a bot's books, and the equity at the end of each."""
    fills, ends = [], []
    equity = Decimal(100_000)
    for place, exit_price in enumerate(("110", "95", "104")):
        day = 16 + place
        fills.append(fill(2 * place, quantity="10", price="100", at=on(day, 15)))
        fills.append(fill(2 * place + 1, side=Side.SELL, quantity="10", price=exit_price, at=on(day, 16)))
        equity += 10 * (Decimal(exit_price) - 100)
        at = on(day, 20)
        ends.append(CycleRecord(f"end-{day}", Job.EVALUATE_EXITS, at.date(), "s", at, "sandbox", equity=equity))
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.apply_fills(fills, on(18, 20))
    with closing(SqliteFacts(folder, JsonlEvents(folder / state_folder.EVENTS), on(18, 20))) as facts:
        for each in ends:
            facts.record(each)


def test_report_of_three_trades_shows_profit_and_what_is_lacking(reader: Bot) -> None:
    lines = reader.shown("report", "--explain").splitlines()
    assert lines[0].startswith("sandbox account …TAIL: 2026-11-16 to 2026-11-18, 3 sessions")
    assert lines[1] == "Profit +90.00 USD: from 100,000.00 to 100,090.00 USD"
    assert lines[2] == "realized +90.00, open +0.00"
    said = "\n".join(lines)
    assert "There are 3 closed trades; it takes 30 for win rate and mean profit." in said
    assert "There are 3 session returns; it takes 8 for mean session return" in said
    assert "SPY isn't shown: " in said
    rows = {line.split("  ")[0]: line.split() for line in lines}
    assert rows["Return"][1] == "+0.09%"
    assert rows["Sharpe ratio"][2:] == ["·", "·", "3", "of", "63", "session", "returns"]
    assert rows["Bought and sold"][3:] == ["6,090.00", "USD", "3", "sessions"]
    assert rows["Win rate"][2:] == ["·", "3", "of", "30", "closed", "trades"]
    assert "-0.05%  2026-11-16  2026-11-17  not yet           2" in said


def test_report_document_has_the_figures_of_the_screen(reader: Bot) -> None:
    (account,) = reader.json("report")["accounts"]
    figures = {each["name"]: each for each in (*account["returns"], *account["trade_figures"])}
    assert figures["total_return"]["value"] == pytest.approx(0.0009)
    assert (figures["sharpe"]["value"], figures["sharpe"]["needed"]) == (None, 63)
    assert [point["equity_usd"] for point in account["curve"]] == ["100000", "100100", "100050", "100090"]
    assert [trade["net_usd"] for trade in account["trades"]] == ["100", "-50", "40"]


def test_report_span_begins_at_the_end_of_the_session_before(reader: Bot) -> None:
    (account,) = reader.json("report", "--from", "2026-11-17", "--to", "2026-11-17")["accounts"]
    assert [point["equity_usd"] for point in account["curve"]] == ["100100", "100050"]
    assert (account["earned"]["profit_usd"], [trade["net_usd"] for trade in account["trades"]]) == ("-50", ["-50"])


def test_report_of_a_part_has_its_own_profit_and_trades(reader: Bot) -> None:
    assert "Profit of MSFT +0.00 USD\n" in reader.says("report", "--symbol", "msft").out
    (account,) = reader.json("report", "--strategy", "flow")["accounts"]
    assert (account["earned"]["start_usd"], account["earned"]["profit_usd"]) == (None, "90")


def test_report_shows_two_folders_side_by_side(reader: Bot, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = typed(capsys, "report", str(reader.folder), str(folder))
    assert said.code == 0
    rows = {line.split("  ")[0]: line.split() for line in said.out.splitlines()}
    assert rows["Return"][1:] == ["+0.09%", "0", "of", "1", "session", "return"]
    assert rows["Returns"][1:] == [str(reader.folder), str(folder)]
    assert f"● {reader.folder}  ○ {folder}" in said.out


def test_report_refuses_options_beside_folders(reader: Bot, folder: Path) -> None:
    said = reader.says("report", str(folder))
    assert said.code == 2
    assert said.err.splitlines()[0] == "error: folders that you name are read with their own configuration"


def test_report_plot_draws_the_curve(reader: Bot, tmp_path: Path) -> None:
    file = tmp_path / "curve.svg"
    assert reader.says("report", "--plot", str(file)).code == 0
    texts = re.findall(r">([^<>]+)</text>", file.read_text())
    assert {"growth", "drawdown", "Nov 17", "Nov 18"} <= set(texts)
    assert not [text for text in texts if ":" in text]
    assert not [text for text in texts[texts.index("growth") :] if re.fullmatch(r"\+[\d.]+%", text)], "no fall is up"


def test_report_plot_needs_a_known_format_and_a_curve(copy: Bot, tmp_path: Path) -> None:
    wrong = copy.says("report", "--plot", "curve.pdf")
    assert (wrong.code, wrong.err.splitlines()[0]) == (2, "error: curve.pdf is neither .svg nor .png")
    empty = copy.says("report", "--plot", str(tmp_path / "curve.svg"))
    assert empty.code == 2
    assert empty.err.splitlines()[0] == "error: No session's equity is known, so there is no curve to draw"


def test_report_of_new_books_says_that_nothing_is_known(copy: Bot) -> None:
    said = copy.says("report")
    assert said.code == 0
    assert "no session yet\nThe account has no records yet\n" in said.out
    assert "so there is no curve and no return. Next: tradebot serve" in said.out
    assert "Sharpe ratio " not in said.out


def test_report_of_days_without_records_has_no_profit(reader: Bot, tmp_path: Path) -> None:
    span = ("--from", "2027-01-01", "--html", str(tmp_path / "page.html"))
    said = reader.says("report", *span)
    assert "no session in these days\nThe account has no records in these days\n" in said.out
    assert "Profit" not in said.out
    page = (tmp_path / "page.html").read_text()
    assert "<h1>The account has no records in these days.</h1>" in page
    assert "profit_usd" not in page


def test_report_names_holdings_without_a_price(traded: Bot) -> None:
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        ledger.apply_fills([fill(9, symbol="NVDA", quantity="1", price="100", at=on(19, 15))], on(19, 20))
    (traded.folder / "facts.db").unlink()
    said = " ".join(traded.says("report").out.split())
    assert (
        "No price of 2026-11-19 was seen for NVDA; the books use the last price before that day, or the cost." in said
    )


def test_report_reads_the_evidence_of_a_backtest(traded: Bot) -> None:
    (traded.folder.parent / TRIALS).write_text('{"strategy": "flow", "digest": "a", "sharpe": 0.5}\n')
    variant = Variant(VariantKind.COSTS, "costs x2", 3, 3, 0.0001, -0.01)
    rates = (DatedRate(date(2026, 11, 16), 0.05),)
    prices = tuple(DayPrice(date(2026, 11, day), 100, 100 + day) for day in (16, 17, 18))
    write_evidence(traded.folder, Evidence(variants=(variant,), cash_rates=rates, benchmark=prices))
    said = " ".join(traded.says("report", "--explain").out.split())
    assert "Deflated Sharpe ratio · 3 of 63 session returns" in said
    assert "No other setting was counted as tried" in said
    assert "costs x2 · · +0.01% -1.00% · 3" in said
    assert "Cash earns each day's rate, as given to the backtest: from 5.00% to 5.00%" in said
    assert "Return +0.09% +18.00%" in said
    (traded.folder / state_folder.EVIDENCE).write_text("{")
    damaged = " ".join(traded.says("report", "--explain").out.split())
    assert "Variants and rates by date aren't shown: evidence.json can't be read: " in damaged
    assert "Deflated Sharpe ratio" in damaged


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "b", "c"), "report takes at most two folders"),
        (("a", "b/../a"), "both folders are the same"),
        (("--html", "-"), "a page can't go to stdout"),
    ],
)
def test_incomparables_are_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    said = typed(capsys, "report", *words)
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {message}")


def test_report_writes_a_page_beside_the_document(reader: Bot, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    (account,) = reader.json("report", "--html", str(file))["accounts"]
    text = file.read_text(encoding="utf-8")
    assert "<h1>The account earned 90.00 USD.</h1>" in text
    assert f'<data value="{account["earned"]["profit_usd"]}"' in text
    assert str(reader.folder) not in text
    assert "SPY isn&#39;t shown: no exchange in this folder" in text
    assert reader.says("report", "--html", str(file)).out.splitlines()[-1] == f"Written: {file}"
    said = reader.says("report", "--html", str(tmp_path / "nowhere" / "report.html"))
    assert (said.code, "can't be written: No such file or directory" in said.err) == (2, True)


def tables() -> Frames:
    return frames(long_backtest(300), rotated(1, 300).fills, ())


def test_parquet_and_csv_hold_the_same_tables(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra")
    names = ["equity", "trades", "fills", "decisions"]
    for kind in ("csv", "parquet"):
        written = save(tables(), tmp_path / f"it's.{kind}")
        assert [place.name for place in written] == [f"it's-{name}.{kind}" for name in names]
    for name in names:
        parquet = duckdb.read_parquet(str(tmp_path / f"it's-{name}.parquet"))
        csv = pd.read_csv(tmp_path / f"it's-{name}.csv")
        assert parquet.columns == list(csv.columns)
        rows = parquet.fetchall()
        assert len(rows) == len(csv)
        for column in csv.select_dtypes(float).dropna(axis=1):
            place = parquet.columns.index(column)
            assert [row[place] for row in rows] == pytest.approx(csv[column].tolist())
    assert dict(zip(parquet.columns, map(str, parquet.types), strict=True))["score"] == "DOUBLE"


def test_parquet_without_the_data_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(OperatorError, match="needs the data extra"):
        save(tables(), tmp_path / "run.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("report", "--frame", "run.xlsx"), "run.xlsx is neither .csv nor .parquet"),
        (("backtest", "--frame", "run"), "run is neither .csv nor .parquet"),
        (("report", "a", "b", "--frame", "run.csv"), "--frame writes the tables of one account"),
    ],
)
def test_other_endings_and_two_accounts_are_refused(
    words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = typed(capsys, *words)
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {why}")


def test_interrupted_backtest_says_so_on_screen_page_and_side_by_side() -> None:
    whole, part_of_it = account(3), replace(account(3), interrupted=True)
    sentence = f"This backtest was interrupted and ends with {whole.to_session}."
    assert (interruption(whole), interruption(part_of_it).startswith(sentence)) == ("", True)
    assert interruption(replace(part_of_it, to_session=None)).startswith("This backtest was interrupted and played no")
    out = console()
    with out.capture() as captured:
        render(out, report(part_of_it))
    assert captured.get().startswith(sentence)
    assert (sentence in page(report(part_of_it)), sentence in page(report(whole))) == (True, False)
    runs = [ComparedRun(name, "backtest", None, None, 3, 40, interrupted=name == "b") for name in "ab"]
    assert [run_words(run).split(":")[0] for run in runs] == ["(backtest)", "(backtest, interrupted)"]
    data = compare_reports([ReadRun(run, {}, account(3)) for run in runs])
    assert data.cautions == ("B was interrupted before the last session.",)


def test_accounts_stand_side_by_side_when_one_lacks_a_figure() -> None:
    rows = dict(figures_side_by_side([account(3), new_account()], Block.TRADES))
    assert set(rows) >= {each.label for each in account(3).trade_figures}
    assert all(len(row) == 2 for row in rows.values())
    assert figures_side_by_side([new_account(), account(3)], Block.RETURNS)[0][1][1] == account(3).returns[0]
    assert {
        row[0] for _, row in figures_side_by_side([replace(account(3), activity=()), account(3)], Block.ACTIVITY)
    } == {None}


def with_figures(**values: tuple[float | None, float | None, float | None, str]) -> AccountReport:
    def changed(figure: Figure) -> Figure:
        if figure.name not in values:
            return figure
        value, low, high, note = values[figure.name]
        return replace(figure, value=value, low=low, high=high, note=note)

    return replace(account(300), returns=tuple(map(changed, account(300).returns)))


@pytest.mark.parametrize(
    ("profit", "sentence"),
    [
        ("1234.565", "The account earned 1,234.56 USD"),
        ("-0.01", "The account lost 0.01 USD"),
        ("0", "The account earned nothing"),
        ("-0.004", "The account earned nothing"),
    ],
)
def test_headline_says_what_was_earned(profit: str, sentence: str) -> None:
    of = account(3)
    earned = replace(of.earned, profit_usd=Decimal(profit))
    assert headline(replace(of, earned=earned), "The account", "yet") == sentence


def test_lede_compares_the_return_with_benchmark_and_cash() -> None:
    assert opening_sentence(account(300)) == (
        "The account's return was +33.68%. Meanwhile, SPY returned -1.91%, SPY at 4% with the rest in cash +4.54% and "
        "cash +4.78%."
    )
    of = account(300)
    moved = replace(of, earned=replace(of.earned, transfers_usd=Decimal(5)))
    assert "was +33.68%, not counting deposits and withdrawals." in opening_sentence(moved)
    assert opening_sentence(new_account()) == ""
    assert span(account(1)) == "2025-01-06"


@pytest.mark.parametrize(
    ("figures", "sentences"),
    [
        (
            {
                "sharpe": (0.58, -0.4, 1.56, ""),
                "psr": (0.88, None, None, ""),
                "min_track_record": (811.6, None, None, ""),
            },
            [
                "The Sharpe ratio is 0.58, with a 95% interval of -0.40 to 1.56. If the future is like the past, the "
                "chance that the true one is above 0 is 88.0%: less than 95%, so all of this could be luck.",
                "To be 95% sure, it takes 812 sessions like these; so far there are 300 session returns.",
            ],
        ),
        (
            {"sharpe": (2.5, 0.5, 4.5, ""), "psr": (0.99, None, None, ""), "min_track_record": (202, None, None, "")},
            [
                "The Sharpe ratio is 2.50, with a 95% interval of 0.50 to 4.50. If the future is like the past, the "
                "chance that the true one is above 0 is 99.0%: luck alone is an unlikely explanation."
            ],
        ),
        (
            {
                "sharpe": (None, None, None, "the returns don't vary"),
                "psr": (None, None, None, ""),
                "min_track_record": (None, None, None, "the Sharpe ratio isn't above 0"),
            },
            ["There is no Sharpe ratio: the returns don't vary.", "The Sharpe ratio isn't above 0."],
        ),
    ],
)
def test_belief_says_how_far_returns_may_be_chance(
    figures: dict[str, tuple[float | None, float | None, float | None, str]], sentences: list[str]
) -> None:
    found = with_figures(**figures)
    assert chance_sentences(found) == [*sentences, *found.luck]
    assert found.luck, "what benchmarks have to do with it is said besides"


def screen(*of: AccountReport) -> list[str]:
    shown = console()
    with shown.capture() as captured:
        render(shown, report(*of))
    return captured.get().splitlines()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


def test_screen_of_a_long_backtest_shows_every_part() -> None:
    of, lines = long_backtest(), screen(long_backtest())
    further = of.further
    rows = {line.split("  ")[0]: line.split() for line in lines}
    assert [line.split()[1] for line in lines if line.startswith("2025 ")][-1] == short_percentage(
        further.by_year[0].value
    )
    (table,) = (line for line in lines if line.startswith("Years, %"))
    assert table.split()[2:7] == ["return", "SPY", "SPY", "at", "125%"]
    assert further.costs is not None
    assert rows["All together"][2] == f"{further.costs.total.usd:,.2f}"
    assert (rows["Deflated Sharpe ratio"][-4:], rows["costs x2"][2]) == (["best", "of", "12", "trials"], "+8.50%")
    assert further.sensitivity is not None
    for sentence in (*further.cautions, band_words(further.sensitivity), costs_words(further.costs)):
        assert any(sentence in line for line in lines)


def test_screen_of_a_short_account_shows_no_further_part() -> None:
    text = "\n".join(screen(account(3)))
    for words in ("Years, %", "Spans of a year", "drag a year", "Chance ", "Played again", "can't show"):
        assert words not in text


def test_sensitivity_words_say_what_is_lacking() -> None:
    of = long_backtest().further
    assert of.sensitivity is not None
    assert of.costs is not None
    few = replace(of.sensitivity, band=None, rebalance_days=of.sensitivity.rebalance_days[:3])
    assert band_words(few).startswith("There are 3 rebalance days with at least a year of sessions; 5 are needed")
    assert band_words(replace(few, rebalance_days=())) == ""
    assert costs_words(replace(of.costs, total=replace(of.costs.total, drag=None))) == ""


MONDAY = date(2026, 11, 16)


def places(*values: float) -> dict[Place, float]:
    """Return values by place: the first at the start of the books, the others at the ends of sessions."""
    days = (MONDAY + timedelta(days=max(number - 1, 0)) for number in range(len(values)))
    return {(day, number > 0): value for number, (day, value) in enumerate(zip(days, values, strict=True))}


def test_terminal_plot_spans_the_highest_to_the_lowest_value() -> None:
    lines = [GrowthLine("●", "account", places(1.0, 1.02, 1.01)), GrowthLine("-", "SPY", places(1.0, 0.99, 0.98))]
    assert draw_lines(lines, 33, height=5) == [
        " +2.00% ┤         ●●●●●●●●●",
        "        ┤   ●●●●●●         ●●●●●●",
        " +0.00% ┤●●●---",
        "        ┤      ------------",
        " -2.00% ┤                  ------",
        "        2026-11-16    2026-11-17",
        "        ● account  - SPY",
    ]


def test_terminal_plot_puts_a_flat_line_in_the_middle() -> None:
    assert [row for row in draw_lines([GrowthLine("●", "account", places(1.0, 1.0))], 40, height=3) if "●●" in row] == [
        " +0.00% ┤●●●●●●●●●●●●●●●●●●●●●●●●"
    ]
