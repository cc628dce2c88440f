"""The obvious model of minutes before a market: made one by one, from floats and a few draws each."""

from tradebot.exchange.chance import stream
from tradebot.exchange.market.bars import Bar
from tradebot.exchange.market.generator import _bars, _bridge
from tradebot.exchange.market.makers import MARKET_VOLATILITY, Maker
from tradebot.exchange.market.sessions import Session
from tradebot.exchange.market.trends import jumps
from tradebot.exchange.times import MINUTE


def past_session_bars(seed: int, symbol: str, session: Session, day: Bar, maker: Maker) -> tuple[Bar, ...]:
    """Return minute bars of a symbol whose first open, highest high, lowest low, last close and volume are a day's."""
    rng, character = stream(seed, symbol, session.date), maker.character
    opening, high, low, close = (units / maker.scale for units in day[1:5])
    common = _bridge(
        stream(seed, "market factor", session.date), (session.close_us - session.open_us) // MINUTE, MARKET_VOLATILITY
    )
    own = _bridge(rng, len(common), character.daily_volatility)
    line = [opening + (close - opening) * (minute + 1) / len(common) for minute in range(len(common))]
    if maker.sudden(session.date):
        ahead = jumps(seed, session, maker.sudden(session.date), len(common))
        line = [min(max(at + opening * jump, low), high) for at, jump in zip(line, ahead, strict=True)]
    away = [opening * (character.beta * c + o) for c, o in zip(common, own, strict=True)]
    # The farthest point on each side of the line just reaches the day's high and low.
    up = min(((high - at) / by for at, by in zip(line, away, strict=True) if by > 0), default=0.0)
    down = min(((at - low) / -by for at, by in zip(line, away, strict=True) if by < 0), default=0.0)
    path = [at + by * (up if by > 0 else down) for at, by in zip(line, away, strict=True)]
    return _fitted(_bars(path, session.open_us, character.shares_a_day / len(path), maker, rng), day)


def _fitted(bars: list[Bar], day: Bar) -> tuple[Bar, ...]:
    """Return bars that differ from those of a day by wicks, cents and volume at most, with nothing left to differ."""
    if not bars:
        return ()
    highest = max(range(len(bars)), key=lambda place: bars[place].high)
    lowest = min(range(len(bars)), key=lambda place: bars[place].low)
    busiest = max(range(len(bars)), key=lambda place: bars[place].volume)
    total = sum(bar.volume for bar in bars)
    fitted = [_within(bar, day, total) for bar in bars]
    fitted[0] = _with(fitted[0], open=day.open)
    fitted[-1] = _with(fitted[-1], close=day.close)
    fitted[highest] = _with(fitted[highest], high=day.high)
    fitted[lowest] = _with(fitted[lowest], low=day.low)
    rest = day.volume - sum(bar.volume for bar in fitted)
    fitted[busiest] = _with(fitted[busiest], volume=fitted[busiest].volume + rest)
    return tuple(fitted)


def _within(bar: Bar, day: Bar, total: int) -> Bar:
    """Return a bar with prices within those of its day, and with its part of `total` as a part of the day's volume."""
    us, opening, high, low, close, shares = bar
    if high > day.high or low < day.low:
        opening, high, low, close = (min(max(units, day.low), day.high) for units in (opening, high, low, close))
    return Bar(us, opening, high, low, close, shares * day.volume // total or 1)


def _with(bar: Bar, **changes: int) -> Bar:
    """Return a bar with some values changed; its high and low contain them."""
    bar = bar._replace(**changes)
    return bar._replace(high=max(bar[1:5]), low=min(bar[1:5]))
