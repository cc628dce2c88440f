"""Entries that are ended without a promise: ours alone, each by its id, and nothing that closes or protects."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import LOST, FakeReader
from tests.kit.values import ACCOUNT
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.errors import TemporaryError
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import ClientIdParts, IntentKey, is_our_order_id, mark_of
from tradebot.model.order import Order, OrderStatus, Reply
from tradebot.model.struct_tools import replace
from tradebot.orders.emergency_cancel import CancelCounts, end_entries

NUMBER = "TEST00001"


def entered(scene: Scene, *symbols: str) -> list[Order]:
    trade_once(scene.world(*map(wanted, symbols)), call())
    return [order for order in scene.venue.book.values() if order.symbol in symbols]


def ended(scene: Scene, *, books: bool = True, number: str = NUMBER) -> CancelCounts:
    ledger = scene.ledger if books else None
    return end_entries(FakeReader(scene.venue), scene.venue, ledger, number)


def cancelled(scene: Scene) -> list[str]:
    assert scene.venue.cancelled == [], "nothing is promised"
    return sorted(scene.venue.unpromised_cancels)


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B", "A.B-C.D"])
def test_an_id_of_ours_tells_what_its_order_is_for(purpose: Purpose, symbol: str) -> None:
    key = IntentKey("PA1", "my.flow", call().session, "open", symbol, Side.BUY, purpose)
    mark = mark_of(key.client_order_id())
    assert mark is not None
    assert mark.purpose is purpose


@pytest.mark.parametrize("text", ["", "by-hand", "tb2.261117.FLOW.AAPL.OPEN.ABC", "x.OPEN.ABC"])
def test_an_id_that_is_not_ours_says_nothing_about_its_order(text: str) -> None:
    assert mark_of(text) is None


@pytest.mark.parametrize("text", ["tb1.", "tb1.x"])
def test_an_id_of_ours_that_was_cut_short_tells_no_more_than_that_it_is_ours(text: str) -> None:
    mark = mark_of(text)
    assert (mark, is_our_order_id(text)) == (ClientIdParts("", None), True)
    assert mark is not None
    assert not mark.is_of("flow")


@pytest.mark.parametrize("books", [True, False], ids=["books", "no books"])
def test_our_entries_end_and_exits_and_orders_of_others_stay(books: bool) -> None:
    scene = Scene()
    first, second = entered(scene, "AAPL", "MSFT")
    promised = scene.ledger.intents()[0].intent
    for name in ("by-hand", replace(promised.key, role=Purpose.CLOSE).client_order_id()):
        scene.venue.rest(name, "NVDA", promised)
    before = list(scene.ledger.intents())
    assert ended(scene, books=books) == CancelCounts(2, ())
    assert cancelled(scene) == sorted([first.venue_id, second.venue_id])
    assert list(scene.ledger.intents()) == before


def test_an_entry_that_the_list_leaves_out_ends_by_what_the_books_know() -> None:
    scene = Scene()
    (known,) = entered(scene, "AAPL")
    scene.ledger.apply_orders([known], scene.venue.now)
    whole = scene.venue.view()
    scene.venue.view = lambda: replace(whole, orders=())  # type: ignore[method-assign]
    assert (ended(scene), cancelled(scene)) == (CancelCounts(1, ()), [known.venue_id])


def test_an_entry_without_an_answer_is_looked_up_by_its_id_and_ends() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = LOST
    (arrived,) = entered(scene, "AAPL")
    whole = scene.venue.view()
    scene.venue.view = lambda: replace(whole, orders=())  # type: ignore[method-assign]
    assert (ended(scene), cancelled(scene)) == (CancelCounts(1, ()), [arrived.venue_id])


def test_an_order_that_replaced_our_entry_by_hand_is_canceled_too() -> None:
    scene = Scene()
    (ours,) = entered(scene, "AAPL")
    promised = scene.ledger.intents()[0].intent
    follower = scene.venue.rest("changed-by-hand", "AAPL", promised)
    gone = replace(ours, status=OrderStatus.REPLACED, replaced_by=follower.venue_id)
    scene.ledger.apply_orders([gone], scene.venue.now)
    del scene.venue.book[ours.client_order_id]
    assert (ended(scene), cancelled(scene)) == (CancelCounts(1, ()), [follower.venue_id])


def test_what_took_the_place_of_our_entry_twice_ends_in_whatever_order_the_books_learned_of_it() -> None:
    scene = Scene()
    (ours,) = entered(scene, "AAPL")
    promised = scene.ledger.intents()[0].intent
    second = scene.venue.rest("changed-by-hand", "AAPL", promised)
    third = scene.venue.rest("changed-again", "AAPL", promised)
    second = replace(second, status=OrderStatus.REPLACED, replaced_by=third.venue_id)
    first = replace(ours, status=OrderStatus.REPLACED, replaced_by=second.venue_id)
    scene.ledger = MemoryLedger(ACCOUNT)
    scene.ledger.apply_orders([second, first], scene.venue.now)
    del scene.venue.book[ours.client_order_id], scene.venue.book["changed-by-hand"]
    assert (ended(scene), cancelled(scene)) == (CancelCounts(1, ()), [third.venue_id])


def test_a_list_that_does_not_come_keeps_no_cancel_back_and_is_told() -> None:
    scene = Scene()
    (known,) = entered(scene, "AAPL")
    scene.ledger.apply_orders([known], scene.venue.now)

    def broken() -> BrokerView:
        raise TemporaryError("the venue is slow")

    scene.venue.view = broken  # type: ignore[method-assign]
    assert (ended(scene), cancelled(scene)) == (CancelCounts(1, ("the venue is slow",)), [known.venue_id])


def test_keys_of_another_account_end_nothing_there() -> None:
    scene = Scene()
    entered(scene, "AAPL")
    told = ended(scene, books=False, number="TEST00002")
    assert (told.cancelled, "another account" in told.problems[0], cancelled(scene)) == (0, True, [])


def test_a_cancel_that_is_not_taken_is_told_with_the_order() -> None:
    scene = Scene()
    (known,) = entered(scene, "AAPL")
    scene.venue.cancel = lambda intent: Reply(LOST.outcome, message="no answer")  # type: ignore[method-assign]
    assert ended(scene) == CancelCounts(0, (f"AAPL {known.client_order_id}: no answer",))
    assert known.open_quantity > Decimal(0)
