"""Each strategy's stakes: its lots, orders and open questions, at the same worst as the account's."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST
from tests.kit.values import CASH, DAY, NOW, SECTORS, books, fill, quote
from tradebot.desk.snapshot import take_desk
from tradebot.desk.strategy_exposure import day_results
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.desk import RiskBook, StrategyExposure
from tradebot.model.instrument import notional
from tradebot.model.position import FOREIGN
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace

MULTIPLIERS = {"AAPL": "1", "MSFT": "50"}
YESTERDAY = NOW - timedelta(days=1)
fills = st.lists(
    st.tuples(st.sampled_from(["flow", "other"]), st.sampled_from(["AAPL", "MSFT"]), st.sampled_from(Side),
              st.integers(1, 9), st.integers(90, 110)),
    max_size=12,
)  # fmt: skip


def priced(symbol: str, price: int = 100, close: int | None = 95) -> Quote:
    known = None if close is None else Decimal(close)
    return replace(quote(symbol, str(price), str(price)), previous_close=known)


@given(traded=fills, price=st.integers(80, 120))
def test_in_a_day_that_began_flat_the_result_is_the_cash_and_what_is_held(
    traded: list[tuple[str, str, Side, int, int]], price: int
) -> None:
    done = [
        fill(number, symbol, side, str(shares), str(paid), strategy=strategy, multiplier=MULTIPLIERS[symbol])
        for number, (strategy, symbol, side, shares, paid) in enumerate(traded)
    ]
    quotes = {symbol: priced(symbol, price) for symbol in ("AAPL", "MSFT")}
    results = day_results(books(*done), quotes, DAY)
    for strategy in ("flow", "other"):
        own = [owned.fill for owned in done if owned.strategy == strategy]
        earned = sum((notional(one.signed_quantity, price - one.price, one.multiplier) for one in own), Decimal(0))
        assert results.get(strategy, Decimal(0)) == earned


def test_what_was_held_overnight_counts_from_the_previous_close_and_what_was_closed_counts_whole() -> None:
    held = fill(1, price="80", at=YESTERDAY)
    short = fill(2, "MSFT", Side.SELL, price="120", at=YESTERDAY)
    before = fill(3, "XOM", price="120", at=YESTERDAY)
    gone = fill(4, "JPM", price="120", at=YESTERDAY), fill(5, "JPM", Side.SELL, price="90", at=YESTERDAY)
    kept = books(held, short, before, *gone, fill(6, "XOM", Side.SELL, price="110"))
    quotes = {symbol: priced(symbol) for symbol in ("AAPL", "MSFT")}
    assert day_results(kept, quotes, DAY) == {"flow": 10 * 5 - 10 * 5 - 10 * 10}


def test_a_position_without_a_price_leaves_the_result_of_its_strategy_unknown() -> None:
    kept = books(fill(1, at=YESTERDAY), fill(2, "MSFT", strategy="other"), fill(3, "XOM"))
    quotes = {"MSFT": priced("MSFT", close=None), "AAPL": priced("AAPL", close=None), "XOM": priced("XOM")}
    assert day_results(kept, quotes, DAY) == {"flow": None, "other": 0}
    assert day_results(kept, {}, DAY) == {"flow": None, "other": None}


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


def seen(scene: Scene) -> RiskBook:
    return take_desk(scene.world(), for_entries=False).book


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


def test_shares_of_others_are_in_no_stake_and_close_the_symbol_to_all() -> None:
    scene = played([("AAPL", Side.BUY)], {"AAPL": "fill"})
    scene.venue.held |= {"XOM": Decimal(7)}
    found = seen(scene)
    assert {stake.symbol for stake in found.stakes} == {"AAPL"}
    assert found.exposure["XOM"] > 0
    assert found.foreign == frozenset({"XOM"})
    assert FOREIGN not in {stake.strategy for stake in found.stakes}


def test_a_position_counts_at_the_higher_of_the_brokers_value_and_the_price() -> None:
    scene = played([("AAPL", Side.SELL)], {"AAPL": "fill"})
    assert seen(scene).stakes == (StrategyExposure("flow", "AAPL", Side.SELL, 50 * Decimal("99.99"), held=True),)
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
    assert found.stakes == (StrategyExposure("flow", "AAPL", Side.BUY, 49 * Decimal("99.99"), held=True),)
    assert found.own("flow", CASH, SECTORS).gross <= found.gross
