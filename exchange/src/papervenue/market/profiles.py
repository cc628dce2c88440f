"""Define the made-up character of each symbol: price level, volatility, volume, sector and size."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from papervenue.chance import number_of, stream

SECTORS = (
    *("Technology", "Communication Services", "Consumer Cyclical", "Consumer Defensive", "Energy"),
    *("Financial Services", "Healthcare", "Industrials", "Basic Materials", "Real Estate", "Utilities"),
)
"""The sectors in the words of the flow feed; the order decides which one a made-up symbol has."""
_ILLIQUID_SHARE = 0.3


class Profile(NamedTuple):
    """One symbol's character. `daily_volatility` and `implied_volatility` are fractions; `level` is in USD."""

    level: float
    daily_volatility: float
    beta: float
    shares_a_day: int
    missing_rate: float
    sector: str | None
    marketcap: int
    exchange: str

    @property
    def liquid(self) -> bool:
        """Return True if the symbol trades in every minute, which makes it shortable and fractionable."""
        return self.missing_rate == 0

    @property
    def issue_type(self) -> str:
        """Return the flow feed's word for the type of security; funds have no sector."""
        return "Common Stock" if self.sector else "ETF"

    @property
    def implied_volatility(self) -> float:
        """Return a yearly volatility: about sixteen times the daily one, for 252 sessions."""
        return self.daily_volatility * 15.9 * 1.1


_BILLION = 10**9
_KNOWN = {
    "AAPL": Profile(228.0, 0.014, 1.1, 48_000_000, 0.0, "Technology", 3400 * _BILLION, "NASDAQ"),
    "MSFT": Profile(415.0, 0.013, 1.0, 20_000_000, 0.0, "Technology", 3100 * _BILLION, "NASDAQ"),
    "NVDA": Profile(138.0, 0.026, 1.8, 210_000_000, 0.0, "Technology", 3300 * _BILLION, "NASDAQ"),
    "AMZN": Profile(205.0, 0.017, 1.2, 38_000_000, 0.0, "Consumer Cyclical", 2100 * _BILLION, "NASDAQ"),
    "GOOGL": Profile(172.0, 0.016, 1.1, 26_000_000, 0.0, "Communication Services", 2100 * _BILLION, "NASDAQ"),
    "META": Profile(570.0, 0.019, 1.2, 13_000_000, 0.0, "Communication Services", 1400 * _BILLION, "NASDAQ"),
    "TSLA": Profile(310.0, 0.034, 2.0, 95_000_000, 0.0, "Consumer Cyclical", 990 * _BILLION, "NASDAQ"),
    "AMD": Profile(140.0, 0.028, 1.8, 42_000_000, 0.0, "Technology", 225 * _BILLION, "NASDAQ"),
    "NFLX": Profile(850.0, 0.018, 1.2, 3_500_000, 0.0, "Communication Services", 360 * _BILLION, "NASDAQ"),
    "INTC": Profile(24.0, 0.029, 1.1, 75_000_000, 0.0, "Technology", 104 * _BILLION, "NASDAQ"),
    "SPY": Profile(590.0, 0.009, 1.0, 52_000_000, 0.0, None, 620 * _BILLION, "ARCA"),
    "QQQ": Profile(505.0, 0.012, 1.2, 34_000_000, 0.0, None, 310 * _BILLION, "NASDAQ"),
    "IWM": Profile(230.0, 0.013, 1.2, 30_000_000, 0.0, None, 76 * _BILLION, "ARCA"),
    "JPM": Profile(245.0, 0.012, 1.0, 9_000_000, 0.0, "Financial Services", 690 * _BILLION, "NYSE"),
    "BAC": Profile(46.0, 0.014, 1.1, 36_000_000, 0.0, "Financial Services", 355 * _BILLION, "NYSE"),
    "XOM": Profile(120.0, 0.012, 0.7, 14_000_000, 0.0, "Energy", 527 * _BILLION, "NYSE"),
    "CVX": Profile(160.0, 0.012, 0.7, 7_500_000, 0.0, "Energy", 288 * _BILLION, "NYSE"),
    "UNH": Profile(590.0, 0.014, 0.5, 4_000_000, 0.0, "Healthcare", 543 * _BILLION, "NYSE"),
    "WMT": Profile(87.0, 0.011, 0.5, 15_000_000, 0.0, "Consumer Defensive", 699 * _BILLION, "NYSE"),
    "COIN": Profile(290.0, 0.045, 2.4, 12_000_000, 0.0, "Financial Services", 72 * _BILLION, "NASDAQ"),
}


@lru_cache(maxsize=20_000)
def profile(symbol: str) -> Profile:
    """Return a symbol's character from the table of well-known names, or else derive it from the symbol."""
    return _KNOWN.get(symbol) or _drawn(symbol)


def _drawn(symbol: str) -> Profile:
    rng = stream("profile", symbol)
    illiquid = rng.random() < _ILLIQUID_SHARE
    level = 8.0 + 190.0 * rng.random() * rng.random()
    shares = 40_000 + int(rng.random() * 200_000) if illiquid else 800_000 + int(rng.random() * 9_000_000)
    return Profile(
        level=level,
        daily_volatility=0.012 + 0.03 * rng.random(),
        beta=0.4 + 1.4 * rng.random(),
        shares_a_day=shares,
        missing_rate=0.1 + 0.6 * rng.random() if illiquid else 0.0,
        sector=SECTORS[int(rng.random() * len(SECTORS))],
        marketcap=int(level * shares * (60 + 200 * rng.random())),
        exchange="NYSE" if number_of(1, symbol) < "5" else "NASDAQ",
    )
