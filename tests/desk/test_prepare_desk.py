"""Which strategies a broken core signal concerns, judged by the newest replies alone.

The first pass that sees an entry filled keeps the midpoint of that moment, and later ones don't change it.
"""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FixedStrategy
from tests.kit.values import NOW, ago, quote
from tests.orders.test_order_sender import end_of
from tradebot.desk.prepare_desk import CURRENT, worst_core_drifts
from tradebot.model.candidate import Side
from tradebot.model.fact_kind import Breach, ContractFinding
from tradebot.model.flow import Intake
from tradebot.model.position import EntryTerms
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace

GONE = ContractFinding(Breach.GONE, "price", 8, "{}")
NEW = ContractFinding(Breach.NEW, "mood", 10, "'good'")


READS = {"flow": frozenset({"dark_pool"}), "alerts": frozenset({"flow_alerts"})}


def replied(kind: str, symbol: str, at: datetime, *findings: ContractFinding, received: int = 10) -> Intake:
    return Intake(kind, symbol, at, received, (), 0, 0, (), findings, {})


def drifts_after(*replies: Intake, now: datetime = NOW) -> dict[str, str]:
    scene = Scene()
    for reply in replies:
        scene.facts.store(reply)
    return {name: str(drift) for name, drift in worst_core_drifts(scene.world(), READS, now).items()}


def test_a_broken_signal_concerns_the_strategies_that_read_it() -> None:
    found = "dark_pool: the field price is gone in 8 of 20 rows"
    assert drifts_after(replied("dark_pool", "AAPL", NOW, GONE), replied("dark_pool", "MSFT", NOW)) == {"flow": found}


def test_alerts_concern_every_strategy_that_reads_flow() -> None:
    assert set(drifts_after(replied("flow_alerts", "AAPL", NOW, GONE))) == {"flow", "alerts"}


def test_a_reply_without_the_fault_clears_it_and_one_without_rows_does_not() -> None:
    broken = replied("dark_pool", "AAPL", ago(60), GONE)
    assert drifts_after(broken, replied("dark_pool", "AAPL", NOW)) == {}
    assert set(drifts_after(broken, replied("dark_pool", "AAPL", NOW, received=0))) == {"flow"}


def test_a_new_field_an_old_reply_or_an_optional_kind_concerns_no_strategy() -> None:
    old = replied("dark_pool", "AAPL", NOW - CURRENT - timedelta(seconds=1), GONE)
    assert drifts_after(replied("dark_pool", "AAPL", NOW, NEW), old, replied("iv_rank", "AAPL", NOW, GONE)) == {}


def test_a_pass_enters_nothing_while_a_core_signal_is_broken() -> None:
    scene = Scene()
    scene.facts.store(replied("flow_alerts", "AAPL", NOW, ContractFinding(Breach.RETYPED, "strike", 10, "1.5")))
    strategy = FixedStrategy(wanted("MSFT"))
    limits = scene.limits.model_copy(update={"max_foreign_share": Decimal("0.1")})
    world = replace(scene.world(), strategies=[strategy], rules=replace(scene.world().rules, limits=limits))
    (record,) = trade_once(world, call()).candidates
    assert end_of(record).reason is Reason.CORE_CONTRACT_BROKEN
    assert end_of(record).observed == "flow_alerts: strike has another type in 10 of 10 rows"
    assert record.client_order_id is None


def kept(scene: Scene) -> EntryTerms:
    ledger = scene.world().ledger
    (position,) = ledger.totals().own_positions()
    return ledger.entry_terms([position.key])[position.key]


def look(scene: Scene) -> None:
    scene.later(60)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"{scene.venue.now:%H%M%S}"))


@pytest.mark.parametrize(("side", "gain"), [(Side.BUY, "0.03"), (Side.SELL, "-0.03")])
def test_gain_at_the_first_look_is_kept_whatever_the_price_does_then(side: Side, gain: str) -> None:
    scene = Scene()
    trade_once(scene.world(replace(wanted("AAPL", side=side), stop_loss_fraction=Decimal("0.5"))), call())
    (entry,) = scene.venue.submitted
    scene.venue.fill(entry.client_order_id, "100", Decimal(1))
    scene.price("AAPL", "103")
    middle = scene.venue.prices["AAPL"].middle
    look(scene)
    first = kept(scene).first_gain
    assert first == (middle / 100 - 1) * side.sign
    assert first == pytest.approx(Decimal(gain), abs=Decimal("0.001"))
    scene.price("AAPL", "99")
    look(scene)
    assert kept(scene).first_gain == first
    (order,) = [order for order in scene.ledger.orders() if order.client_order_id == entry.client_order_id]
    assert (order.fill_mid, order.status.terminal) == (middle, True), "a later report, of its end, doesn't change it"


def test_a_pass_without_a_quote_leaves_the_first_look_to_the_next_one() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    shown = scene.venue.prices.pop("AAPL")
    look(scene)
    assert kept(scene).first_gain is None
    scene.venue.prices["AAPL"] = replace(shown, bid=quote().bid, ask=quote().bid)
    look(scene)
    assert kept(scene).first_gain == quote().bid / 100 - 1
