"""A tape has the prices of each minute, and refuses a market that it can't have in whole."""

from decimal import Decimal

import pytest

from tests.lab.learning.arrays.drawing import NAMES, plan, tapes
from tests.lab.learning.prices import give
from tradebot.lab.learning.arrays.episode_data import BeyondError, tapes_of
from tradebot.lab.learning.environment import EpisodeTerms
from tradebot.lab.learning.training.training import span_of


def test_a_tape_has_each_minute_and_each_ask() -> None:
    (tape,) = tapes(plan())
    assert len(tape.opens) == len(tape.marks) == len(tape.minutes) == 23 * 60 + 1
    assert [one.place for one in tape.asks] == [*range(5, 23 * 60, 5)]
    assert [*tape.closes.items()] == [(23 * 60, True)]
    assert tape.looks == {*range(1, 23 * 60, 5)}
    assert (tape.tick, tape.fee, tape.cash) == (125, 62, 10_000_000)
    assert tape.shown.shape == (len(tape.asks), len(NAMES))
    assert tape.ends == tape.asks[-1].at.replace(hour=22, minute=0)


@pytest.mark.parametrize(
    ("limits", "ends", "why"),
    [
        ({}, 600, "MESZ6 has minutes without a bar on 2026-11-16"),
        ({}, None, "a minute begins farther from the one before than an order's limit reaches"),
        ({"price_collar_fraction": 0.012, "limit_offset_fraction": 0.01}, None, "a price moves as far as limits"),
    ],
)
def test_a_market_that_arrays_cannot_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], ends: int | None, why: str
) -> None:
    levels = {minute: str(Decimal(6000) + Decimal("0.25") * (minute % 7)) for minute in range(1380)}
    jumped = {minute: str(Decimal(6020 + minute % 3)) for minute in range(700, 1380)}
    of = plan(limits=limits, exits={"limit_offset_fraction": limits.get("limit_offset_fraction", 0.001)})
    give(monkeypatch, levels if ends else {**levels, **jumped}, ends)
    span = span_of(of, "policy", NAMES)
    with pytest.raises(BeyondError, match=why):
        tapes_of(EpisodeTerms(of, span.scaling), span.scaling, span.rows)
