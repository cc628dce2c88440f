"""No drawn life of a position breaks a promise at a venue without pairs, and bots that break one are caught.

The venue's own log is the judge (`lived_apart`).
"""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.kit.core.apart import capabilities
from tests.orders.lived_apart import LIVES, Life, lived
from tests.suite.tiers import in_campaigns, seed, sized
from tradebot.adapters.ledger import money
from tradebot.model.candidate import Side
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState
from tradebot.model.values import replace
from tradebot.model.venue import Capabilities, ClientIds, Edit, Pairs
from tradebot.orders import changes, closing, fitting, two_orders, working_orders
from tradebot.ports.broker import BrokerReader

QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)


@pytest.mark.sampled
@pytest.mark.parametrize(("edit", "reduce_only"), list(product(Edit, (True, False))))
def test_no_drawn_life_breaks_a_promise(edit: Edit, reduce_only: bool) -> None:
    @settings(QUIET, max_examples=sized(10, 200))
    @given(LIVES, st.sampled_from(ClientIds), st.sampled_from([Pairs.TWO_ORDERS, Pairs.BRACKET]))
    def holds(life: Life, ids: ClientIds, pairs: Pairs) -> None:
        can = capabilities(edit, reduce_only=reduce_only, pairs=pairs)
        assert lived(replace(can, client_ids=ids), *life) == []

    holds()


def stop_ends_before_the_new_one_rests(patch: pytest.MonkeyPatch) -> None:
    """Cancel the old stop although the new one isn't acknowledged."""
    patch.setattr(two_orders, "_rests", lambda world, placed: placed.terminal is None)


def targets_count_as_stops(patch: pytest.MonkeyPatch) -> None:
    """Leave shares without a stop that a target rests for."""
    usual = fitting.stop_steps

    def steps(cover: fitting.Cover, looser_by: Decimal) -> Iterator[fitting.Step]:
        return usual(cover._replace(shares=max(cover.shares - fitting.total(cover.targets), Decimal(0))), looser_by)

    patch.setattr(two_orders, "stop_steps", steps)


class _Plain:
    """A reader of a venue that is taken for one whose orders don't only reduce."""

    def __init__(self, reader: BrokerReader) -> None:
        self._reader = reader

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._reader.capabilities, reduce_only=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def exits_cancel_stops(patch: pytest.MonkeyPatch) -> None:
    """Cancel what protects for an exit, although it lets the exit pass."""
    usual = closing._exits

    def as_without(world: Any, *given: Any) -> Any:
        return usual(replace(world, reader=_Plain(world.reader)), *given)

    patch.setattr(closing, "_exits", as_without)


def lost_requests_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Place another order while nobody knows what became of the first."""
    patch.setattr(two_orders, "_is_about", lambda intent, cover: False)


def stops_never_get_smaller(patch: pytest.MonkeyPatch) -> None:
    """Leave stops for shares that are gone."""
    usual = fitting.stop_steps
    patch.setattr(two_orders, "stop_steps", lambda *given: (step for step in usual(*given) if step.old is None))


def targets_stay(patch: pytest.MonkeyPatch) -> None:
    """Leave targets for shares that a stop has sold."""
    patch.setattr(two_orders, "target_steps", lambda cover: ())


def turned_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Hold what filled beyond the position."""
    patch.setattr(money, "TURNED", money.NOTHING)


def halt_cancels_stops(patch: pytest.MonkeyPatch) -> None:
    """Cancel what protects once entries are closed."""
    usual = working_orders._due

    def due(world: Any, desk: Any, symbols: Any) -> Iterator[Any]:
        yield from usual(world, desk, symbols)
        if desk.state.state is not TradingState.ACTIVE:
            resting = working_orders.our_working_orders(world, desk)
            yield from ((order, record, Reason.HALTED) for order, record in resting if record.intent.protects)

    patch.setattr(working_orders, "_due", due)


def gaps_untold(patch: pytest.MonkeyPatch) -> None:
    """Tell nothing of a stop that was canceled for another order."""
    told = EventKind.STOP_MOVED
    patch.setattr(changes, "gap_began", lambda gap, now, cause: told.at(now, {}, gap.symbol))


def stops_for_all(patch: pytest.MonkeyPatch) -> None:
    """Place each stop for the whole position, whatever rests already."""
    usual = fitting.stop_steps

    def steps(cover: fitting.Cover, looser_by: Decimal) -> Iterator[fitting.Step]:
        found = usual(cover, looser_by)
        return (step._replace(shares=cover.shares) if step.old is None else step for step in found)

    patch.setattr(two_orders, "stop_steps", steps)


BUY, CALM = Side.BUY, ("exits", (), 20)
TARGET_FILLS, BOTH_FILL = (("fill", "target", "all"), CALM), (("whip", "all", "stop"), CALM)
HALT = (("state", TradingState.REDUCE_ONLY), CALM)
CONTROLS: list[tuple[Callable[[pytest.MonkeyPatch], None], Edit, bool, Life]] = [
    (
        stop_ends_before_the_new_one_rests,
        Edit.NONE,
        True,
        (BUY, "all", [(TARGET_FILLS[0], ("exits", ("slow",), 20))]),
    ),
    (targets_count_as_stops, Edit.NEW_ID, True, (BUY, "half", [])),
    (turned_is_kept, Edit.IN_PLACE, False, (BUY, "half", [BOTH_FILL])),
    (exits_cancel_stops, Edit.NEW_ID, True, (BUY, "half", [BOTH_FILL])),
    (
        lost_requests_are_forgotten,
        Edit.NONE,
        True,
        (BUY, "half", [(("suspend",), ("exits", ("", "swallowed"), 20))]),
    ),
    (stops_never_get_smaller, Edit.NEW_ID, False, (BUY, "half", [TARGET_FILLS])),
    (targets_stay, Edit.NEW_ID, False, (BUY, "all", [(("whip", "half", "stop"), CALM)])),
    (halt_cancels_stops, Edit.IN_PLACE, True, (BUY, "half", [TARGET_FILLS, TARGET_FILLS, HALT])),
    (gaps_untold, Edit.NONE, False, (BUY, "half", [(("flatten", ()), CALM)])),
    (stops_for_all, Edit.NONE, False, (BUY, "half", [(("fill", "entry", "all"), CALM)])),
]
"""Bots broken on purpose, each at a venue where it breaks a promise, with a life that shows it."""


@pytest.mark.sampled
@pytest.mark.parametrize(("control", "edit", "reduce_only", "life"), CONTROLS)
def test_bot_that_breaks_a_promise_is_caught(
    control: Callable[[pytest.MonkeyPatch], None],
    edit: Edit,
    reduce_only: bool,
    life: Life,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    can = capabilities(edit, reduce_only=reduce_only)
    assert lived(can, *life) == [], "the bot as it is"
    control(monkeypatch)
    assert lived(can, *life)
    if in_campaigns():
        # Drawn lives show it too, soon enough.
        quick, chance = settings(QUIET, max_examples=600, phases=(Phase.generate,)), random.Random(seed())  # noqa: S311 - replayable
        find(LIVES, lambda life: bool(lived(can, *life)), settings=quick, random=chance)
