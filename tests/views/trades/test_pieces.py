"""The account at the end of a day: splits and new names change the name and the shares of a position, not its money."""

from datetime import timedelta
from decimal import Decimal

from tests.kit.core.scene import Scene
from tests.kit.values import NOW, ago, fill
from tests.reconciliation.test_activity_booking import activity, happens, holding
from tests.views.trades.test_pnl import history, paid
from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE
from tradebot.model.position import Origin, unreported_fill
from tradebot.model.record import SessionEnd
from tradebot.views.trades.history import History
from tradebot.views.trades.pieces import Kind, breakdown, day_ends, value_at

D = Decimal


def seen(scene: Scene, price: str, symbol: str = "AAPL") -> History:
    """Return the past of a scene's books, with a price of its day, and a dividend on the old name."""
    end = SessionEnd(NOW.date(), None, None, {symbol: D(price)}, NOW)
    cash = (paid("2", "DIV", NOW, "AAPL"),)
    return history(*scene.ledger.fills(), cash=cash, ends=(end,))


def test_renamed_position_uses_price_and_dividend_of_its_old_name() -> None:
    scene = holding("10")
    gone, come = (
        activity("NC", name, str(shares), sub="SNC", number=n)
        for n, (name, shares) in enumerate((("AAPL", -10), ("PEAR", 10)))
    )
    assert happens(scene, gone, come).findings == ()
    past = seen(scene, "105")
    (end,) = day_ends(past)
    assert end.held == {("flow", "PEAR")}
    assert not end.unpriced
    assert end.value_usd == past.opening_cash + 2 + 50
    assert past.former_names == {("flow", "PEAR"): ("AAPL",)}
    found = {piece.kind: (piece.strategy, piece.symbol, piece.usd) for piece in breakdown(past).pieces}
    assert found == {Kind.OPEN: ("flow", "PEAR", D(50)), Kind.DIVIDENDS: ("flow", "PEAR", D(2))}


def test_rename_moves_no_cash_to_another_day() -> None:
    bought = fill(1, "AAPL", Side.BUY, "10", "100", at=NOW - timedelta(days=2))
    # The books open what was renamed as of its purchase.
    moved = [
        unreported_fill("flow", name, name, D(shares), D(100), ONE, at, Origin.ACTIVITY, "rename")
        for name, shares, at in (("AAPL", -10, NOW), ("PEAR", 10, bought.fill.at))
    ]
    past = history(bought, *moved)
    (end,) = day_ends(past)
    assert (end.day, end.value_usd) == (bought.fill.at.date(), past.opening_cash)


def test_split_changes_no_profit() -> None:
    scene = holding("10")
    assert happens(scene, activity("SPLIT", quantity="10"), averages={"AAPL": "50"}).findings == ()
    found = {piece.kind: piece.usd for piece in breakdown(seen(scene, "52.5")).pieces}
    assert found == {Kind.OPEN: D(50), Kind.DIVIDENDS: D(2)}


def test_value_before_the_first_purchase_is_cash() -> None:
    past = seen(holding("10"), "105")
    before = value_at(past, ago(301), {})
    assert (before.value_usd, before.held, before.gains) == (past.opening_cash, frozenset(), ())
    assert value_at(past, ago(300) + timedelta(seconds=1), {}).unpriced == {"AAPL"}
