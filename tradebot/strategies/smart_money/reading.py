"""Read a coin from what the strategy sees: its bars, its quote, and what the strategy did in it before."""

from tradebot.model.position import Position
from tradebot.model.series import DAY, PriceKind
from tradebot.model.view import StrategyView
from tradebot.signals.structures.structures import structures
from tradebot.signals.structures.swings import Extreme, swings
from tradebot.strategies.smart_money.coin import Coin, Past, atr_of, bias, strength_of, week_range
from tradebot.strategies.smart_money.settings import SmartMoneySettings

HOUR, QUARTER, SWINGS = "1Hour", "15Min", 50


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
        quote=view.quotes.get(symbol),
        costs=view.costs,
        past=past_of(view, symbol),
    )


def past_of(view: StrategyView, symbol: str) -> Past:
    """Return when the strategy entered a coin last, and its closed trades in it."""
    trades = view.trades.get(symbol, ())
    lot: Position | None = view.lots.get(symbol)
    entered = [trade.opened_at for trade in trades] + ([lot.opened_at] if lot else [])
    return Past(max(entered, default=None), trades)
