"""The margin that people are shown: what the last pass that read it saw, and nothing of an account without any."""

from datetime import datetime
from decimal import Decimal

import pytest

from tests.kit.rows import make_cycle, minutes
from tests.kit.values import margin
from tradebot.model.account import CashMovement
from tradebot.model.activity import ActivityKind
from tradebot.model.margin import Liquidation, MarginSeen
from tradebot.model.position import Origin
from tradebot.model.record import CycleRecord
from tradebot.model.values import replace
from tradebot.views.holdings import Holding, account_margin, funding_so_far

D = Decimal
EQUITY = D(50_000)
SEEN = margin({"AAPL": "2000"}, equity=D(50_000)).seen(D(50_000))


def cycle(at: datetime, seen: MarginSeen | None, equity: Decimal | None = EQUITY) -> CycleRecord:
    return replace(make_cycle("c", at), margin=seen, equity=equity)


def test_a_pass_records_what_is_held_as_the_venue_told_it() -> None:
    (aapl,) = SEEN.liquidations
    assert (SEEN.initial, SEEN.maintenance, SEEN.available) == (D(40_000), D(20_000), D(10_000))
    assert aapl == Liquidation("AAPL", D(30_000) / D(180_000), 100 * (1 - D(30_000) / D(180_000)), D(100))


def test_the_last_pass_that_read_the_margin_is_shown() -> None:
    newer = replace(SEEN, maintenance=D(25_000), available=None)
    found = account_margin((cycle(minutes(2), newer), cycle(minutes(1), SEEN), cycle(minutes(3), None)))
    assert found is not None
    assert (found.at, found.initial_fraction, found.maintenance_fraction) == (minutes(2), D("0.8"), D("0.5"))
    assert (found.initial_usd, found.maintenance_usd, found.available_usd) == (D(40_000), D(25_000), None)
    assert found.liquidations == SEEN.liquidations


@pytest.mark.parametrize("equity", [None, D(0), D(-1)])
def test_without_equity_there_are_no_fractions_of_it(equity: Decimal | None) -> None:
    found = account_margin((cycle(minutes(1), SEEN, equity),))
    assert found is not None
    assert (found.initial_fraction, found.maintenance_fraction, found.initial_usd) == (None, None, D(40_000))


def test_an_account_that_pays_for_what_it_buys_has_none() -> None:
    assert account_margin((make_cycle("c1"), make_cycle("c2"))) is account_margin(()) is None


def held(symbol: str, strategy: str, minute: int) -> Holding:
    opened, none = minutes(minute), None
    return Holding(
        symbol, strategy, D(1), none, none, opened, none, none, none, none, none, none, (), none, "open", none
    )


def test_funding_counts_for_what_is_held_since_it_was_opened() -> None:
    def paid(symbol: str, minute: int, usd: str, meaning: ActivityKind = ActivityKind.FUNDING) -> CashMovement:
        return CashMovement(minutes(minute), D(usd), meaning, Origin.ACTIVITY, f"{minute}", "", symbol, "", meaning)

    rows = (
        held("PF_B", "rotation", 5),
        held("PF_A", "rotation", 3),
        held("PF_A", "another", 7),
        held("PF_C", "rotation", 1),
    )
    movements = (
        *(paid("PF_A", minute, usd) for minute, usd in ((2, "-8"), (3, "-1"), (6, "0.25"), (8, "-0.5"))),
        paid("PF_A", 8, "-3", ActivityKind.COMMISSION),
        paid("PF_B", 4, "-2"),
        paid("PF_D", 8, "-4"),
        paid("PF_B", 9, "0.1"),
    )
    found = funding_so_far(rows, movements)
    assert [(one.symbol, one.amount_usd) for one in found] == [("PF_B", D("0.1")), ("PF_A", D("-1.25"))]
