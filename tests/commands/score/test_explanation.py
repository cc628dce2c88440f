"""`tradebot score --explain`: one symbol's score taken apart; nothing is recorded."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from commands.score.explanation import Explained, ExplainedScore, render, scores_of
from commands.shared.verb_options import console
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, second_session
from tests.kit.strategies import lot
from tradebot.desk.listing_lookup import NOT_LISTED
from tradebot.desk.strategy_views import StrategyInputs
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import StrategyRefusal
from tradebot.model.view import Close, StrategyView
from tradebot.ports.strategy import Strategy
from tradebot.signals.scoring import evaluate


def test_a_picture_of_the_same_score_is_the_same_file(bot: Bot, tmp_path: Path) -> None:
    second_session(bot)
    file = tmp_path / "aapl.svg"
    assert bot.says("score", "--explain", "AAPL", "--plot", str(file)).code == 0
    first = file.read_text()
    assert all(word in first for word in ("AAPL at", "dark pool", "oi change"))
    assert bot.says("score", "--explain", "AAPL", "--plot", str(file)).code == 0
    assert file.read_text() == first


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--plot", "x.svg"), 2, "tradebot score --explain AAPL --plot aapl.svg"),
        (("--explain", "AAPL", "--plot", "x.gif"), 2, "x.gif is neither .svg nor .png"),
        (("--explain", "AAPL", "--plot", "absent/x.svg"), 2, "No such file or directory"),
    ],
)
def test_a_picture_that_cannot_be_made_is_refused(bot: Bot, arguments: tuple[str, ...], code: int, words: str) -> None:
    refuses(bot.says("score", *arguments), code, words)


def test_explanation_shows_numbers_with_their_times(bot: Bot) -> None:
    shown = bot.shown("score", "--explain", "aapl")
    assert shown.startswith(
        "AAPL at 2026-11-17 10:00:00 ET; its flow was fetched at 2026-11-17 10:00:00 ET, 0 s earlier\nStrategy flow: "
    )
    assert "\noi_change = net / gross if gross else 0\n" in shown
    assert re.search(r"USD +at 09:\d\d:\d\d ET, .* old +100,000 more: score ", shown)
    order = [shown.index(f"\n{name} = ") for name in ("flow", "dark_pool", "oi_change", "smile_slope", "insider")]
    assert all(before < after for before, after in pairwise(order))


def test_explanation_records_nothing_and_claims_no_slot(bot: Bot) -> None:
    before = bot.json("status")["passes"]
    bot.says("exchange", "tick", "5m")
    assert bot.says("score", "--explain", "MSFT").code == 0
    assert bot.json("status")["passes"] == before


def test_another_symbol_is_refused_with_the_nearest(bot: Bot) -> None:
    refuses(bot.says("score", "--explain", "AAPX"), 2, "AAPX is not in the universe", "did you mean AAPL")


def test_the_document_alone_is_enough_to_compute_the_score_by_hand(bot: Bot) -> None:
    second_session(bot)
    computed = 0
    for symbol in (row["symbol"] for row in bot.json("score")["rows"]):
        (found,) = bot.json("score", "--explain", symbol)["scores"]
        total, score = sum(part["weight"] for part in found["components"]), 0.0
        assert found["total_weight"] == pytest.approx(total)
        for part in found["components"]:
            if part["value"] is None:
                assert part["absent"]
                continue
            inputs = {each["name"]: float(each["value"]) for each in part["inputs"]}
            value = evaluate(part["formula"], inputs)
            assert part["value"] == pytest.approx(value)
            score += value * part["weight"] / total
            for each in part["inputs"]:
                if each["step"] is not None:
                    more = evaluate(part["formula"], inputs | {each["name"]: inputs[each["name"]] + each["step"]})
                    assert each["score_change"] == pytest.approx((more - value) * part["weight"] / total)
                    computed += 1
        assert found["score"] == pytest.approx(score)
    assert computed


def test_the_contracts_behind_a_score_have_their_spread_their_cost_and_their_alerts(bot: Bot) -> None:
    second_session(bot)
    bot.does("exchange tick 2h", "fetch-flow --force-slot")
    contracts = [
        (symbol, one)
        for symbol in (row["symbol"] for row in bot.json("score")["rows"])
        for score in bot.json("score", "--explain", symbol)["scores"]
        for one in score["contracts"]
    ]
    assert contracts
    for _, one in contracts:
        bid, ask = Decimal(one["bid"]), Decimal(one["ask"])
        assert Decimal(one["spread_fraction"]) == pytest.approx(2 * (ask - bid) / (ask + bid))
        assert Decimal(one["cost_usd"]) == 100 * ask
        assert one["alerts"]
    symbol, one = contracts[0]
    shown = bot.shown("score", "--explain", symbol)
    assert "Contracts behind the score" in shown
    assert one["contract"] in shown


def test_score_zero_has_no_direction_and_decision_without_limit_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    neutral = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.NO_DIRECTION, 0.0, None)
    enough = Decision(Gate.STRATEGY, Verdict.PASS, None, 7, 2)
    never = (
        Decision(Gate.STRATEGY, Verdict.PASS, None, observed, limit) for observed, limit in ((None, 2700), ("", ""))
    )
    nothing = ExplainedScore("flow", "buy", 0.0, 0.0, 1.0, (), (), (neutral, enough, *never))
    data = Explained("AAPL", datetime(2026, 11, 17, 15, tzinfo=UTC), None, None, (nothing,))
    render(console(), data)
    shown = capsys.readouterr().out
    assert "Strategy flow: no direction; " in shown
    assert "filter: FAIL NO_DIRECTION (observed 0)\n" in shown
    assert "filter: PASS (observed 7, limit 2)\n" in shown
    assert "filter: PASS (limit 2,700)\n" in shown
    assert "filter: PASS\n" in shown


class _Holding:
    """A strategy that enters nothing that it holds, and wants to leave it."""

    name = "holding"

    def propose(self, view: StrategyView) -> list[Close]:
        return [Close(symbol, "enough") for symbol in view.lots]


def test_a_symbol_that_its_strategy_holds_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 17, 15, tzinfo=UTC)
    seen = StrategyInputs(StrategyView(at, ("AAPL", "MSFT"), lots={"AAPL": lot("AAPL", 10, "100")}))
    (score,) = scores_of(cast("Strategy", _Holding()), seen, "AAPL")
    assert not list(scores_of(cast("Strategy", _Holding()), seen, "MSFT"))
    render(console(), Explained("AAPL", at, None, None, (score,), reads_flow=False))
    shown = " ".join(capsys.readouterr().out.split())
    assert "holding skipped it: ALREADY_POSITIONED. The strategy already holds this symbol." in shown


class _Blind:
    """A strategy that would answer for every symbol that it sees."""

    name = "blind"

    def propose(self, view: StrategyView) -> Decision:
        raise AssertionError(view)


def test_a_symbol_that_was_left_out_says_why_as_why_no_orders_does(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 17, 15, tzinfo=UTC)
    seen = StrategyInputs(StrategyView(at, ()), (StrategyRefusal("blind", NOT_LISTED, "PF_NOSUCHUSD"),))
    (score,) = scores_of(cast("Strategy", _Blind()), seen, "PF_NOSUCHUSD")
    render(console(), Explained("PF_NOSUCHUSD", at, None, None, (score,), reads_flow=False))
    shown = " ".join(capsys.readouterr().out.split())
    assert "blind skipped it: INSTRUMENT_UNKNOWN. The broker doesn't list this symbol" in shown
    assert "Next: Look the symbol up at the broker" in shown
    assert not any(words in shown for words in ("No strategy proposes", "its flow was"))
