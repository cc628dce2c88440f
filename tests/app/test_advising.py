"""Advice taken at its word: exactly the change that is told lets the order out, and one step nearer doesn't."""

import random
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.support.advised import FULL, SMALL, Tally, Typed, helpful, passes_of, refusals, taken
from tests.bot import Bot, discard, typed
from tests.tiers import drawn
from tradebot.app.advising import Advising, LetThrough, let_through

TIGHT = ("limits.min_order_notional_usd", "6000", "strategies.flow.limits.min_score", "0.9")
SEEDS = drawn("advice", [7], range(1, 100_000), 1)


AMZN = ("flow", "AMZN")


def test_each_advice_about_a_pass_lets_its_order_out(shared_trader: Bot) -> None:
    """A candidate is refused for two settings, then for one, and others for what no setting changes."""
    for changes in (TIGHT, ("limits.min_order_notional_usd", "100")):
        assert shared_trader.says("config", "set", *changes).code == 0
        shared_trader.says("trade-once", "--force-slot")
    first, second = passes_of(shared_trader.folder)
    refused = [*refusals((first, second))]
    tally = taken(Typed(shared_trader.folder), refused, 100)
    assert tally == Tally(advised=2, singles=1, sent=2, nearer_sent=0, wrong=())
    assert [*Advising(first).of(AMZN).values] == [
        ("strategies", "flow", "limits", "min_score"), ("limits", "min_order_notional_usd"),
    ]  # fmt: skip
    without = [one for one in refused if not Advising(one.recorded).of(one.whose).changes]
    assert {whose for _, whose in without} == {("flow", "NVDA"), ("flow", "MSFT"), ("flow", "AAPL")}
    assert helpful(without[0], pairs=2, seed=1, each=1) is None


def test_what_else_a_change_lets_through_is_told_and_what_it_keeps_out(shared_trader: Bot) -> None:
    advising = Advising(passes_of(shared_trader.folder)[-1])
    before, after = advising.decided({}), advising.decided(advising.of(AMZN).values)
    assert before is not None
    assert after is not None
    assert let_through(before, after, AMZN) == LetThrough(also=(), instead=())
    assert let_through(before, after, ("flow", "NVDA")) == LetThrough(also=(AMZN,), instead=())
    assert let_through(after, before, AMZN) == LetThrough(also=(), instead=(AMZN,))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_of_a_hundred_in_sessions_of_the_demo(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A session as shipped, one with a full book, and one with small orders; where none is told, none helps."""
    chance, wanted, found = random.Random(seed), 100, list[Tally]()  # noqa: S311 - replayable
    for name, settings in (("shipped", ()), ("full", FULL), ("small", SMALL)):
        folder = tmp_path / name
        try:
            changes = [word for setting in settings for word in ("--set", setting)]
            asked = ("--minutes", "120", "--seed", str(seed), "--state-dir", str(folder), *changes)
            assert typed(capsys, "demo", *asked).code == 0
        finally:
            discard(folder)
        refused = [*refusals(passes_of(folder))]
        chance.shuffle(refused)
        found.append(taken(Typed(folder), refused, wanted - sum(one.advised for one in found)))
        assert found[-1].wrong == ()
        without = (one for one in refused if not Advising(one.recorded).of(one.whose).changes)
        assert [one.whose for one in islice(without, 4) if helpful(one, pairs=100, seed=seed)] == []
    assert sum(one.sent for one in found) == sum(one.advised for one in found) >= wanted // 2
    assert sum(one.nearer_sent for one in found) == 0
