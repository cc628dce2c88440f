"""The published rotation in a few lines of pandas: an independent computation that the backtest is compared with.

It knows nothing of the bot. A rebalance ranks and fills at adjusted prices of one session; sizes are whole shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

import pandas as pd

SECTORS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE")
CASH = 100_000.0
LEVERAGE = 1.25
SLIPPAGE = 0.0005


@dataclass(frozen=True)
class Terms:
    """What is assumed. `stale` values positions at their last fill when sizing, the original's defect.

    `fill`: close, ranked and filled at the first session's close; next, ranked there and filled at the next open; open,
    ranked at the close before and filled at the first session's open. `commission` is a fraction of each trade.
    `margin` is what a loan costs per year above the funds rate, None if borrowing is free and cash earns nothing.
    """

    stale: bool = True
    fill: str = "close"
    commission: float = 0.001
    margin: float | None = None


@dataclass
class Outcome:
    """A finished run: the holdings by session, the net asset value after each session, and the number of trades."""

    holdings: dict[str, list[str]] = field(default_factory=dict)
    values: dict[pd.Timestamp, float] = field(default_factory=dict)
    trades: int = 0

    @property
    def curve(self) -> "pd.Series[float]":
        return pd.Series(self.values)

    @property
    def growth(self) -> tuple[float, float]:
        """Return the compound annual growth rate from the first session's value on, and from the first dollar on."""
        curve = self.curve
        years = (curve.index[-1] - curve.index[0]).days / 365.25
        return float((curve.iloc[-1] / curve.iloc[0]) ** (1 / years) - 1), float(
            (curve.iloc[-1] / CASH) ** (1 / years) - 1
        )

    @property
    def drawdown(self) -> float:
        return float((1 - self.curve / self.curve.cummax()).max())

    def sharpe(self, periods: int) -> float:
        """Return the mean daily return over its standard deviation, annualized by the root of `periods`."""
        returns = self.curve.pct_change().dropna()
        return float(returns.mean() / returns.std() * sqrt(periods))


def run(
    opens: pd.DataFrame, closes: pd.DataFrame, rates: "pd.Series[float]", first: str, last: str, terms: Terms
) -> Outcome:
    """Play the rotation between two dates on adjusted prices, a column per symbol; `rates` are fractions a year."""
    out, cash, held, filled = Outcome(), CASH, dict[str, int](), dict[str, float]()
    sessions = closes.loc[first:last].index
    due: list[str] | None = None
    for place, session in enumerate(sessions):
        before = sessions[place - 1] if place else None
        if before is not None and terms.margin is not None:
            rate = rates.asof(before) + (terms.margin if cash < 0 else 0)
            cash *= 1 + rate * (session - before).days / 360
        begins = before is None or before.month != session.month
        if begins:
            decided = closes.index.get_loc(session) - (terms.fill == "open")
            chosen = choose(closes.iloc[decided], closes.iloc[decided - 126])
            out.holdings[session.date().isoformat()] = chosen
            due = chosen
        if due and (terms.fill != "next" or not begins):
            prices = (closes if terms.fill == "close" else opens).loc[session]
            worth = {symbol: filled[symbol] if terms.stale else prices[symbol] for symbol in held}
            value = cash + sum(shares * worth[symbol] for symbol, shares in held.items())
            for symbol, shares in orders(held, {symbol: LEVERAGE / len(due) * value for symbol in due}, prices):
                price = prices[symbol] * (1 + SLIPPAGE if shares > 0 else 1 - SLIPPAGE)
                cash -= shares * price + abs(shares * price) * terms.commission
                held[symbol], filled[symbol] = held.get(symbol, 0) + shares, price
                out.trades += 1
            held = {symbol: shares for symbol, shares in held.items() if shares}
            due = None
        out.values[session] = cash + sum(shares * closes.at[session, symbol] for symbol, shares in held.items())
    return out


def choose(now: "pd.Series[float]", before: "pd.Series[float]") -> list[str]:
    """Return the three sectors with the largest return, as far as they haven't fallen, or the bond fund."""
    returns = {symbol: now[symbol] / before[symbol] - 1 for symbol in SECTORS}
    return [symbol for symbol in sorted(SECTORS, key=lambda s: -returns[s])[:3] if returns[symbol] >= 0] or ["TLT"]


def orders(held: Mapping[str, int], wanted: Mapping[str, float], prices: "pd.Series[float]") -> list[tuple[str, int]]:
    """Return the signed shares to trade, sales first; what isn't wanted is sold whole."""
    changes = {symbol: int(usd / prices[symbol] - held.get(symbol, 0)) for symbol, usd in wanted.items()}
    changes |= {symbol: -shares for symbol, shares in held.items() if symbol not in wanted}
    return sorted(((s, n) for s, n in changes.items() if n), key=lambda change: change[1] > 0)
