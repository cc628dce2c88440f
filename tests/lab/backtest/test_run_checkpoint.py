"""A backtest that was stopped between two sessions goes on as if it had never been."""

import os
import pickle
from decimal import Decimal

import pytest

from papervenue.market.spec import NEXT_BAR
from papervenue.snapshot.state import KEPT
from tests.kit.backtest.drawn import Drawn, Whims, assembled, driver
from tests.lab.driver.test_driver import FILLED_BEFORE_A_PASS_OF_ENTRIES
from tradebot.errors import OperatorError
from tradebot.exits.kinds.stops import StopLoss
from tradebot.lab.backtest.run import dump_checkpoint, unpack
from tradebot.lab.backtest.setup import ENGINE_PARTS, BacktestSetup
from tradebot.lab.driver.driver import Driver
from tradebot.model.limits import Protection
from tradebot.model.record import Job, SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, Needs

DAYS = replace(FILLED_BEFORE_A_PASS_OF_ENTRIES, sessions=2, actions=True, looks="every 15m", entries="every 30m")
HEADER = dump_checkpoint.__globals__["_HEADER"]


MANY_DAYS = replace(
    DAYS,
    sessions=12,
    daily=True,
    strategy=Whims(303, 0.7, "first session of week at open+30m", needs=Needs(bars=(BarNeed("1Day", 2),), lots=True)),
    exits=(StopLoss(fraction=Decimal("0.03")),),
    protection=Protection.BOT,
    fill=NEXT_BAR._replace(model="close", quotes="last"),
)


def new(drawn: Drawn = DAYS) -> tuple[BacktestSetup, Driver]:
    made = assembled(drawn)
    return made, driver(drawn, made, every_pass=False)


def outcome(made: BacktestSetup, plays: Driver, ends: list[SessionEnd]) -> object:
    ledger, account = made.ledger, made.engine.main
    books = ledger.intents(), ledger.orders(), ledger.fills(), ledger.standing(), ledger.trading_state()
    passes = [list(made.facts.cycles(job=job)) for job in Job]
    return books, passes, account.cash, list(account.orders), made.events.emitted, ends, plays.count


@pytest.mark.parametrize(("drawn", "played"), [(DAYS, 1), (MANY_DAYS, 3), (MANY_DAYS, 7)])
def test_checkpoint_continues_exactly_where_the_run_stopped(drawn: Drawn, played: int) -> None:
    made, plays = new(drawn)
    plays.reconcile()
    ends = list(map(plays.play, made.sessions[:played]))
    kept = dump_checkpoint(made, plays, ends, "these days")
    ends += map(plays.play, made.sessions[played:])
    plays.reconcile()
    again, resumed = new(drawn)
    later = list(unpack(kept, again, resumed, "these days").ends)
    later += map(resumed.play, again.sessions[played:])
    resumed.reconcile()
    assert made.ledger.fills(), "nothing was traded"
    assert outcome(again, resumed, later) == outcome(made, plays, ends)


def test_checkpoint_has_all_that_an_exchange_keeps_of_its_engine_and_market() -> None:
    assert {path: names for path, names in KEPT.items() if path.startswith(("engine", "market"))} == ENGINE_PARTS


def test_checkpoint_of_another_run_is_refused() -> None:
    made, plays = new()
    kept = dump_checkpoint(made, plays, [], "these days")
    for data, identity in ((kept, "other days"), (kept[:-20], "these days"), (b"", "these days"), (HEADER, "")):
        with pytest.raises(OperatorError) as refused:
            unpack(data, *new(), identity)
        assert "with --force instead of --resume" in str(refused.value.hint)


def test_checkpoint_cannot_run_code() -> None:
    with pytest.raises(OperatorError, match="which no checkpoint does"):
        unpack(HEADER + pickle.dumps((os.getpid, "", [], [], [])), *new(), "")
