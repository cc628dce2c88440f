"""Advice taken at its word: exactly the change that is told lets the order out, and one step nearer doesn't."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.support.advised import FULL, SMALL, Door, Tally, passes_of, refusals, taken
from tests.app.brute_force import Leaf, leaves
from tests.kit.bot.folder import Bot, discard, typed
from tests.suite.tiers import drawn
from tradebot.app.advising import Advising, LetThrough, let_through
from tradebot.app.settings import load
from tradebot.app.unsearched import UNSEARCHED
from tradebot.replaying.asking import Advice
from tradebot.replaying.passes import Recorded

TIGHT = ("limits.min_order_notional_usd", "6000", "strategies.flow.limits.min_score", "0.9")
SEEDS = drawn("advice", [7], range(1, 100_000))
SINGLES, PAIRS = 120, 60
"""How many changes of one setting, and of two, brute force tries on a pass in the fast tier."""


AMZN = ("flow", "AMZN")


def test_each_advice_about_a_pass_lets_its_order_out(shared_trader: Bot) -> None:
    """A candidate is refused for two settings, then for one, and others for what no setting changes."""
    for changes in (TIGHT, ("limits.min_order_notional_usd", "100")):
        assert shared_trader.says("config", "set", *changes).code == 0
        shared_trader.says("trade-once", "--force-slot")
    first, second = passes_of(shared_trader.folder)
    with Door(shared_trader.folder) as door:
        tally = taken(door, door.advice([*refusals((first, second))]))
        assert (tally.sent, tally.nearer_sent, tally.wrong) == (tally.advised, 0, ())
        assert tally.advised >= 2
        assert [*door.advising(first).of(AMZN).values] == [
            ("strategies", "flow", "limits", "min_score"), ("limits", "min_order_notional_usd"),
        ]  # fmt: skip
        told, found = told_about(door, second), [*helped(door, second, random.Random(8), SINGLES, PAIRS)]  # noqa: S311
        assert [*contradicted(told, found)] == []
        assert [*contradicted(dict.fromkeys(told, Advice()), found)], "advice that finds nothing is contradicted"


def test_what_else_a_change_lets_through_is_told_and_what_it_keeps_out(shared_trader: Bot) -> None:
    advising = Advising(passes_of(shared_trader.folder)[-1], None)
    before, after = advising.decided({}), advising.decided(advising.of(AMZN).values)
    assert before is not None
    assert after is not None
    assert let_through(before, after, AMZN) == LetThrough(also=(), instead=())
    assert let_through(before, after, ("flow", "NVDA")) == LetThrough(also=(AMZN,), instead=())
    assert let_through(after, before, AMZN) == LetThrough(also=(), instead=(AMZN,))


def test_brute_force_reaches_every_section_that_decides_and_names_what_is_not_searched() -> None:
    found = {".".join(one.path) for one in leaves(load(None, {}, {}).settings, "flow")}
    assert {"strategies.flow.flow_scale_share", "strategies.flow.filters.is_sweep", "limits.min_score"} <= found
    assert {"strategies.flow.weights.burst", "displacement.enabled", "exits.stop_loss_fraction"} <= found
    assert not found & {*UNSEARCHED}


@pytest.mark.campaign
@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_of_a_hundred_in_sessions_of_the_demo(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A session as shipped, one with a full book, and one with small orders; where none is told, none helps."""
    chance, found = random.Random(seed), list[Tally]()  # noqa: S311 - replayable
    for name, settings in (("shipped", ()), ("full", FULL), ("small", SMALL)):
        folder = tmp_path / name
        try:
            changes = [word for setting in settings for word in ("--set", setting)]
            asked = ("--minutes", "60", "--seed", str(seed), "--state-dir", str(folder), *changes)
            assert typed(capsys, "demo", *asked).code == 0
        finally:
            discard(folder)
        passes = passes_of(folder)
        refused = chance.sample([*refusals(passes)], 34)
        with Door(folder) as door:
            found.append(taken(door, door.advice(refused)))
            assert found[-1].wrong == ()
            one = chance.choice(passes)
            assert [*contradicted(told_about(door, one), helped(door, one, chance, singles=500, pairs=300))] == []
    assert sum(one.sent for one in found) == sum(one.advised for one in found) >= 10
    assert sum(one.nearer_sent for one in found) == 0


class Helped(NamedTuple):
    """An entry that a change found by brute force lets through; `beside` the orders that went out without it."""

    whose: tuple[str, str]
    changes: Sequence[tuple[tuple[str, ...], object]]
    beside: bool


def helped(door: Door, recorded: Recorded, chance: random.Random, singles: int, pairs: int) -> Iterator[Helped]:
    """Yield each refused entry that brute force lets through, with the change that did."""
    settings, before = [*leaves(door.advising(recorded).settings, "flow")], door.sent(recorded, ())
    alone = [((one.path, value),) for one in settings for value in one.others]
    for changes in (*chance.sample(alone, singles), *_pairs(settings, chance, pairs)):
        sent = door.sent(recorded, changes)
        yield from (Helped(whose, changes, before <= sent) for whose in sent - before)


def told_about(door: Door, recorded: Recorded) -> dict[tuple[str, str], Advice]:
    """Return the advice about each entry that a pass refused."""
    advising = door.advising(recorded)
    return {one.whose: advising.of(one.whose) for one in refusals((recorded,))}


def contradicted(told: Mapping[tuple[str, str], Advice], found: Iterable[Helped]) -> Iterator[tuple[object, ...]]:
    """Yield what brute force lets through though advice says that nothing does, or only two settings do.

    Where others go first, advice doesn't claim that keeping them out or going before them wouldn't help.
    """
    for whose, changes, beside in found:
        advice = told.get(whose)
        if advice is None or 0 < len(advice.changes) <= len(changes) or not beside:
            continue
        if not (advice.crowded and len(changes) > 1):
            yield whose, advice, changes


def _pairs(
    settings: Sequence[Leaf], chance: random.Random, count: int
) -> Iterator[tuple[tuple[tuple[str, ...], object], ...]]:
    """Yield changes of two settings, most of them of those that a strategy's candidates are scored by."""
    own = [one for one in settings if one.path[0] == "strategies"]
    for _ in range(count):
        first, second = chance.choice(own), chance.choice(chance.choice((own, settings)))
        if first.path != second.path:
            yield (first.path, chance.choice(first.others)), (second.path, chance.choice(second.others))
