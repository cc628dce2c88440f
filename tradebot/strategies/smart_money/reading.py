"""Read a coin from what the strategy sees: its bars, its quote, and what the strategy did in it before."""

from decimal import Decimal

from tradebot.model.bar import Quote
from tradebot.model.position import Position
from tradebot.model.series import DAY, PriceKind
from tradebot.model.view import StrategyView
from tradebot.signals.structures.structures import structures
from tradebot.signals.structures.swings import Extreme, swings
from tradebot.strategies.smart_money.coin import Coin, Past, atr_of, bias, strength_of, week_range
from tradebot.strategies.smart_money.settings import SmartMoneySettings

HOUR, QUARTER, SWINGS = "1Hour", "15Min", 50
BPS, HOURS_A_DAY = Decimal(10_000), 24


def coin_of(view: StrategyView, symbol: str, rules: SmartMoneySettings) -> Coin:
    """Return what is known of a coin of the view's universe."""
    days, hours, quarters, bars = (
        view.bars(symbol, timeframe, price=PriceKind.SPOT)
        for timeframe in (DAY, HOUR, QUARTER, rules.structure.timeframe)
    )
    turned = swings(hours.last(SWINGS))
    return Coin(
        symbol=symbol,
        now=view.now,
        price=quarters.close[-1],
        bias=bias(days.close, rules.bias),
        bars=bars,
        structures=structures(bars, rules.structure.numbers),
        atr=atr_of(bars, rules) or 0.0,
        strength=strength_of(hours, rules),
        swing_highs=[swing.price for swing in turned if swing.extreme is Extreme.HIGH],
        swing_lows=[swing.price for swing in turned if swing.extreme is Extreme.LOW],
        weeks=None if rules.weekly.rule == "off" else week_range(days, rules.weekly),
        funding_bps_a_day=_funding(view.quotes.get(symbol)),
        past=past_of(view, symbol),
    )


def past_of(view: StrategyView, symbol: str) -> Past:
    """Return when the strategy entered a coin last, and its closed trades in it."""
    trades = view.trades.get(symbol, ())
    lot: Position | None = view.lots.get(symbol)
    entered = [trade.opened_at for trade in trades] + ([lot.opened_at] if lot else [])
    return Past(max(entered, default=None), trades)


def _funding(quote: Quote | None) -> float | None:
    """Return what a long position pays a day, in basis points of its worth; None if the venue tells no rate."""
    if quote is None or quote.funding_rate is None or not quote.mark:
        return None
    return float(quote.funding_rate / quote.mark * HOURS_A_DAY * BPS)
