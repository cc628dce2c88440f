"""Who orders under our mark without a promise is noticed though his order has ended, and nobody else is."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import FakeReader
from tests.kit.values import CASH, DAY, NOW, VENUE_DAY, ago
from tests.orders.test_order_sender import end_of
from tests.reconciliation.test_catch_up import caught, sent, sent_by_hand
from tradebot.adapters.ledger.rows import StoredOpening
from tradebot.desk.snapshot import take_desk
from tradebot.errors import TemporaryError
from tradebot.gates.halts import override_for
from tradebot.model.finding import FindingKind
from tradebot.model.order import Order
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.reconciliation.new_fills import ASKED_SINGLY
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import reconcile
from tradebot.reconciliation.unknown_orders import unknown_orders

COPY = "tb1.261116.FLOW.MSFT.OPEN.ABCDEFGHIJKLMNOP"


def filled(scene: Scene, name: str = COPY, symbol: str = "MSFT") -> str:
    """Let somebody's order come and fill between two looks of ours."""
    scene.venue.fill(sent_by_hand(scene, symbol, name), "100")
    return name


def asked(scene: Scene) -> list[str]:
    ids, follower = list[str](), scene.venue.follower
    scene.venue.follower = lambda venue_id: ids.append(venue_id) or follower(venue_id)  # type: ignore
    return ids


def kinds(scene: Scene) -> list[tuple[FindingKind, str]]:
    return [(one.kind, one.subject) for one in reconcile(FakeReader(scene.venue), scene.ledger).findings]


@pytest.mark.parametrize(("name", "noticed"), [(COPY, True), ("typed by hand", False)])
def test_a_copy_whose_order_has_filled_already_halts_the_bot_and_a_person_does_not(name: str, noticed: bool) -> None:
    scene = Scene()
    filled(scene, name)
    ids = asked(scene)
    trade_once(scene.world(wanted("AAPL")), call())
    state = scene.ledger.trading_state()
    assert (state.state is TradingState.REDUCE_ONLY, COPY in state.why) == (noticed, noticed)
    assert len(scene.venue.submitted) == (0 if noticed else 1)
    assert kinds(scene) == [(FindingKind.UNKNOWN_ORDER, name)] * noticed + [
        (FindingKind.ANOTHER_COPY if noticed else FindingKind.BY_HAND, "MSFT")
    ]
    assert len(ids) == 1, "each order is asked for once"


def recent_copies(scene: Scene, now: datetime) -> tuple[Order, ...]:
    return unknown_orders(read_books(scene.ledger, now, VENUE_DAY), ()).recent_by_other_copies


@pytest.mark.parametrize(("count", "singly"), [(ASKED_SINGLY, ASKED_SINGLY), (ASKED_SINGLY + 1, 0)])
def test_many_orders_are_read_from_a_list(count: int, singly: int) -> None:
    scene = Scene()
    names = [filled(scene, f"{COPY}.{number}") for number in range(count)]
    ids = asked(scene)
    caught(scene)
    assert [order.client_order_id for order in recent_copies(scene, NOW)] == names
    assert len(ids) == singly


def test_entries_wait_until_the_venue_tells_whose_fill_it_is_however_old_it_is() -> None:
    scene, silent = Scene(), [True]
    scene.venue.now -= timedelta(days=3)
    filled(scene)
    scene.venue.now += timedelta(days=3)
    scene.ledger.tables.book.put(StoredOpening(CASH, ago(10 * 86_400)))
    follower = scene.venue.follower

    def answering(venue_id: str) -> Order | None:
        if silent:
            raise TemporaryError("503")
        return follower(venue_id)

    scene.venue.follower = answering  # type: ignore[method-assign]
    for minute in (30, 35):
        (refused,) = trade_once(scene.world(wanted("AAPL")), call(slot=f"open+{minute}m")).candidates
        assert end_of(refused).reason is Reason.VIEW_INCOMPLETE
        scene.later(300)
    assert (FindingKind.UNREADABLE, "account") in kinds(scene)
    silent.clear()
    trade_once(scene.world(wanted("AAPL")), call(slot="open+40m"))
    assert scene.ledger.trading_state().why == f"BOOKS_OLD: {COPY} against 0"
    assert scene.venue.submitted == []


def test_an_order_that_the_venue_does_not_tell_of_is_asked_for_again_and_ends_no_pass() -> None:
    scene, silent = Scene(), [True]
    filled(scene)
    follower = scene.venue.follower

    def answering(venue_id: str) -> Order | None:
        if silent:
            raise TemporaryError("no")
        return follower(venue_id)

    scene.venue.follower = answering  # type: ignore[method-assign]
    assert (caught(scene).fills, recent_copies(scene, NOW)) == (1, ())
    silent.clear()
    caught(scene)
    assert [order.client_order_id for order in recent_copies(scene, NOW)] == [COPY]


def test_orders_accepted_or_of_another_day_no_longer_count_and_the_next_one_does() -> None:
    scene = Scene()
    filled(scene)
    assert take_desk(scene.world(), for_entries=False).halt_evidence.unknown_orders == (COPY,)
    assert recent_copies(scene, NOW + timedelta(days=1)) == ()
    trade_once(scene.world(wanted("AAPL")), call())
    halt = scene.ledger.trading_state()
    assert (halt.causes, halt.why.startswith(Reason.SECOND_WRITER)) == (frozenset({Reason.SECOND_WRITER}), True)
    seen = override_for([halt])
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "ada", "mine", NOW, override=seen))
    assert take_desk(scene.world(), for_entries=False).halt_evidence.unknown_orders == ()
    assert (FindingKind.UNKNOWN_ORDER, COPY) not in kinds(scene)
    scene.later(60)
    scene.venue.now += timedelta(seconds=1)
    filled(scene, f"{COPY}.2")
    assert take_desk(scene.world(), for_entries=False).halt_evidence.unknown_orders == (f"{COPY}.2",)


def test_a_stranger_that_is_open_and_filled_in_part_is_told_once() -> None:
    scene = Scene()
    scene.ledger.claim_slot("trade-once", DAY, "open+10m", "cron", ago(600))
    scene.venue.fill(sent_by_hand(scene, "MSFT", COPY), "100", Decimal(1))
    assert take_desk(scene.world(), for_entries=False).halt_evidence.unknown_orders == (COPY,)
    assert kinds(scene)[0] == (FindingKind.UNKNOWN_ORDER, COPY)
    assert [kind for kind, _ in kinds(scene)].count(FindingKind.UNKNOWN_ORDER) == 1


def test_our_own_order_is_no_stranger() -> None:
    scene = Scene()
    intent = sent(scene)
    scene.venue.fill(intent.client_order_id, "100")
    caught(scene)
    assert replace(scene.ledger.orders()[0]).filled_quantity
    assert recent_copies(scene, NOW) == ()
