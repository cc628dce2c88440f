"""Each strategy's stakes: its lots, orders and open questions, at the same worst as the account's."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import CASH, SECTORS
from tests.venues import LOST
from tests.worlds import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tradebot.desk.snapshot import take
from tradebot.model.candidate import Side
from tradebot.model.desk import Book, Stake
from tradebot.model.position import FOREIGN
from tradebot.model.record import Job

rows = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(Side)), unique_by=lambda row: row[0], min_size=1)
fates = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["fill", "part", "lost"]))


def played(entries: list[tuple[str, Side]], fates: dict[str, str]) -> Scene:
    """Return a scene in which flow has entered these symbols, and each order met its fate."""
    scene = Scene()
    for symbol, fate in fates.items():
        if fate == "lost":
            scene.venue.script[symbol] = LOST
            scene.venue.swallows = True
    trade_once(scene.world(*(wanted(symbol, side=side) for symbol, side in entries)), call())
    for name, order in list(scene.venue.book.items()):
        fated = fates.get(order.symbol)
        if fated in ("fill", "part"):
            scene.venue.fill(name, "100.20", None if fated == "fill" else Decimal(10))
    return scene


def seen(scene: Scene) -> Book:
    return take(scene.world(), with_flow=False).book


@settings(max_examples=40)
@given(entries=rows, fates=fates)
def test_a_strategy_that_is_alone_has_all_that_the_account_is_exposed_to(
    entries: list[tuple[str, Side]], fates: dict[str, str]
) -> None:
    whole = seen(played(entries, fates))
    own = whole.own("flow", CASH, SECTORS)
    assert own.exposure == whole.exposure
    assert own.sector_exposure == whole.sector_exposure
    assert own.gross == whole.gross > 0
    assert (own.held, own.open_symbols) == (whole.held, whole.open_symbols)
    assert own.entries == whole.entries


def test_what_others_hold_is_nobodys_stake_and_closes_the_symbol_to_all() -> None:
    scene = played([("AAPL", Side.BUY)], {"AAPL": "fill"})
    scene.venue.held |= {"XOM": Decimal(7)}
    found = seen(scene)
    assert {stake.symbol for stake in found.stakes} == {"AAPL"}
    assert found.exposure["XOM"] > 0
    assert found.foreign == frozenset({"XOM"})
    assert FOREIGN not in {stake.strategy for stake in found.stakes}


def test_a_position_counts_at_the_higher_of_the_brokers_value_and_the_price() -> None:
    scene = played([("AAPL", Side.SELL)], {"AAPL": "fill"})
    assert seen(scene).stakes == (Stake("flow", "AAPL", Side.SELL, 50 * Decimal("99.99"), held=True),)
    scene.price("AAPL", "120")
    assert [stake.usd for stake in seen(scene).stakes] == [50 * 120]


def test_an_exit_that_works_adds_nothing() -> None:
    scene = played([("AAPL", Side.BUY)], {"AAPL": "fill"})
    scene.later(60)
    scene.price("AAPL", "95")
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS))
    (stake,) = seen(scene).stakes
    assert (stake.side, stake.held) == (Side.BUY, True)


def test_a_fill_that_no_list_shows_yet_is_held_by_who_sent_the_order() -> None:
    scene = played([("AAPL", Side.BUY)], {"AAPL": "fill"})
    scene.venue.executions.clear()
    found = seen(scene)
    assert found.stakes == (Stake("flow", "AAPL", Side.BUY, 49 * Decimal("100.20"), held=True),)
    assert found.own("flow", CASH, SECTORS).gross <= found.gross
