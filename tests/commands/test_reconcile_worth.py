"""A comparison that comes after a session's close records what the account was worth at it."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import cast

import pytest

from commands.reconcile.run import note_worth
from tests.kit.core.scene import Scene
from tests.kit.values import DAY, SESSION, VENUE_DAY, account
from tradebot.adapters.memory.recorder import Recorder
from tradebot.app.wiring import App
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.instrument import AssetClass
from tradebot.model.record import CycleRecord, Job, Mark
from tradebot.reconciliation.reconcile import Reconciled

D = Decimal


def compared(after_close_s: int, equity: int, price: int | None = 107) -> Reconciled:
    held = BrokerPosition("AAPL", AssetClass.US_EQUITY, D(10), D(100), None, None if price is None else D(price))
    view = BrokerView(account(equity=D(equity)), (held,), ())
    return cast(Reconciled, SimpleNamespace(at=SESSION.close + timedelta(seconds=after_close_s), view=view))


@pytest.fixture
def app() -> App:
    ledger, facts = Scene().ledger, Recorder()
    ledger.put_sessions([SESSION])
    seen = CycleRecord(
        "exits", Job.EVALUATE_EXITS, DAY, "open+389m", SESSION.close - timedelta(minutes=1), "sandbox",
        equity=D(90), marks=(Mark("AAPL", D(99)),), last_close=D(80),
    )  # fmt: skip
    facts.record(seen)
    return cast(App, SimpleNamespace(ledger=ledger, facts=facts, day=VENUE_DAY, mode_name="sandbox"))


def test_first_look_after_the_close_is_the_sessions_end_and_later_ones_are_not(app: App) -> None:
    note_worth(app, compared(-1, 95), "cron")
    (end,) = app.facts.session_ends(DAY, DAY)
    assert end.equity == 90
    note_worth(app, compared(60, 100), "cron")
    note_worth(app, compared(3600, 120), "cron")
    (end,) = app.facts.session_ends(DAY, DAY)
    assert (end.equity, end.equity_at, end.last_close) == (D(100), SESSION.close + timedelta(minutes=1), D(80))
    assert (end.marks, end.marked_at) == ({"AAPL": D(107)}, end.equity_at)


def test_look_at_an_open_session_counts_if_it_is_the_last_and_an_unpriced_position_keeps_its_price(app: App) -> None:
    note_worth(app, compared(-1, 95, price=None), "demo", in_session=True)
    (end,) = app.facts.session_ends(DAY, DAY)
    assert (end.equity, end.marks) == (D(95), {"AAPL": D(99)})
