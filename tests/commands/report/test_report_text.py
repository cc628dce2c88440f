"""What the screen and the page of a report say alike, and the page's whole sentences."""

from decimal import Decimal

import pytest

from commands.compare.report import ComparedRun, ReadRun, compare_reports, run_words
from commands.report.page import page
from commands.report.report_text import (
    belief,
    benchmark_name,
    beside,
    block_assumptions,
    headline,
    interruption,
    lede,
    outer,
    part,
    parts,
    rank_trades,
    span,
)
from commands.report.screen import render
from commands.shared.verb_options import console
from tests.kit.trades import account, new_account, report, without_exposure
from tradebot.lab.performance.report import AccountReport, Block, Figure
from tradebot.model.struct_tools import replace


def test_few_rows_are_all_shown_and_many_by_both_ends() -> None:
    assert [list(outer(range(count), 2)) for count in (0, 4, 5)] == [[], [0, 1, 2, 3], [0, 1, 3, 4]]


def test_parts_of_profit_sum_to_the_whole() -> None:
    of = replace(account(3), earned=replace(account(3).earned, fees_usd=Decimal("-0.31")))
    assert [name for name, _ in parts(of, ())] == ["realized", "fees"]
    assert parts(of, ("open",))[1] == ("open", Decimal(0))
    assert sum(amount for _, amount in parts(of, ())) == of.earned.profit_usd - Decimal("0.31")


def test_chosen_part_has_a_name() -> None:
    whole = report(account(3))
    asked = (whole, replace(whole, symbol="AAPL"), replace(whole, strategy="fl\x1bow", symbol="AAPL"))
    assert list(map(part, asked)) == ["", "AAPL", "fl ow in AAPL"]


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


def test_leveled_benchmark_needs_a_benchmark_and_an_exposure() -> None:
    assert benchmark_name(account(300)) == "SPY at 4%"
    assert benchmark_name(replace(account(300), benchmark=None)) == ""
    assert benchmark_name(without_exposure(account(300))) == ""


def test_accounts_stand_side_by_side_when_one_lacks_a_figure() -> None:
    rows = dict(beside([account(3), new_account()], Block.TRADES))
    assert set(rows) >= {each.label for each in account(3).trade_figures}
    assert all(len(row) == 2 for row in rows.values())
    assert beside([new_account(), account(3)], Block.RETURNS)[0][1][1] == account(3).returns[0]
    assert {row[0] for _, row in beside([replace(account(3), activity=()), account(3)], Block.ACTIVITY)} == {None}


def test_assumption_of_one_account_names_it() -> None:
    both, one = (replace(account(3), label=label) for label in ("both", "one\x1b"))
    one = replace(one, assumptions={Block.CURVE: ("common", "special")})
    both = replace(both, assumptions={Block.CURVE: ("common",)})
    assert block_assumptions([both, one], Block.CURVE) == ["common", "one : special"]
    assert block_assumptions([both, one], Block.MONTHS) == []


def test_closed_trades_are_ranked_from_best_to_worst() -> None:
    of = account(3)
    held = replace(of.trades[0], closed_at=None, net_usd=Decimal(10**6))
    found = rank_trades(replace(of, trades=(held, *of.trades[1:])))
    assert found == sorted(of.trades[1:], key=lambda trade: -trade.net_usd)


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
    assert (
        headline(replace(of, earned=replace(of.earned, profit_usd=Decimal(profit))), "The account", "yet") == sentence
    )


def test_lede_compares_the_return_with_benchmark_and_cash() -> None:
    assert lede(account(300)) == (
        "The account's return was +33.68%. Meanwhile, SPY returned -1.91%, SPY at 4% with the rest in cash +4.54% and "
        "cash +4.78%."
    )
    of = account(300)
    moved = replace(of, earned=replace(of.earned, transfers_usd=Decimal(5)))
    assert "was +33.68%, without what was moved in or out." in lede(moved)
    assert lede(new_account()) == ""
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
                "To be 95% sure takes 812 sessions like these, and there are 300 session returns.",
            ],
        ),
        (
            {"sharpe": (2.5, 0.5, 4.5, ""), "psr": (0.99, None, None, ""), "min_track_record": (202, None, None, "")},
            [
                "The Sharpe ratio is 2.50, with a 95% interval of 0.50 to 4.50. If the future is like the past, the "
                "chance that the true one is above 0 is 99.0%: luck alone is an unlikely explanation.",
            ],
        ),
        (
            {"sharpe": (1.7, -0.1, 3.5, ""), "psr": (0.97, None, None, ""), "min_track_record": (256, None, None, "")},
            [
                "The Sharpe ratio is 1.70, with a 95% interval of -0.10 to 3.50. If the future is like the past, the "
                "chance that the true one is above 0 is 97.0%: luck alone is an unlikely explanation.",
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
    assert belief(found) == [*sentences, *found.luck]
    assert found.luck, "what benchmarks have to do with it is said besides"


def test_belief_with_too_few_returns_says_what_is_needed() -> None:
    assert belief(account(3)) == [
        "It is too early to tell skill from luck. There are 3 session returns; a Sharpe ratio takes 63."
    ]
