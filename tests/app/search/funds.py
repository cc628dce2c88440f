"""Daily bars of made-up funds, with or without momentum, and a bot that rotates among them each week."""

from datetime import date
from pathlib import Path

import numpy as np

from tradebot.adapters.alpaca.capabilities import ALPACA
from tradebot.adapters.time.calendar import exchange_sessions

FUNDS = ("AAPL", "MSFT", "NVDA", "AMZN")
FIRST = date(2024, 1, 2)
CONFIGURATION = f"""
universe: [{", ".join(FUNDS)}]
strategies:
  flow: null
  rotation:
    ranked: [{", ".join(FUNDS)}]
    defensive: null
    lookback_sessions: 20
    top: 1
    min_momentum: 0
    leverage: 1
    min_ranked: null
    regime: null
    max_behind_s: 23400
    allotment_fraction: 1
    times: first session of week at open+5m
    limits: {{max_open_positions: 4}}
    exits: []
limits:
  max_order_fraction: 1.4
  max_order_notional_usd: 1000000
  max_symbol_fraction: 1.4
  max_sector_fraction: 1.4
  max_gross_fraction: 1.4
  max_daily_loss_fraction: 0.5
halts: {{daily_loss_fraction: 0.6, drawdown_fraction: 0.9}}
"""
FEW = """
settings:
  strategies.rotation.lookback_sessions: {from: 5, to: 9}
  strategies.rotation.top: [1]
trials: 3
min_trades: 1
"""


def bars(path: Path, sessions: int, seed: int, edge: float) -> Path:
    """Write daily bars of funds whose prices drift for a while, up or down, by `edge` standard deviations a day."""
    drawn, days = np.random.default_rng(seed), exchange_sessions(FIRST, date(2027, 12, 31), ALPACA.calendar)[:sessions]
    lines = ["date,symbol,open,high,low,close,volume"]
    for name in FUNDS:
        drift, price = 0.0, 100.0
        for place, day in enumerate(days):
            if place % 60 == 0 or drawn.random() < 0.02:
                drift = edge * drawn.choice((-1.0, 1.0))
            opened, price = price, price * float(np.exp(0.01 * (drift + drawn.normal())))
            low, high = min(opened, price), max(opened, price)
            lines.append(f"{day.date},{name},{opened:.4f},{high:.4f},{low:.4f},{price:.4f},1000000000")
    path.write_text("\n".join(lines) + "\n")
    return path


def bot(folder: Path, sessions: int, seed: int = 1, edge: float = 0.0, space: str = FEW) -> tuple[str, ...]:
    """Write a market, a configuration and a space into a folder; return the arguments of a search there."""
    folder.mkdir(parents=True, exist_ok=True)
    market = bars(folder / "bars.csv", sessions, seed, edge)
    (folder / "bot.yaml").write_text(CONFIGURATION)
    (folder / "space.yaml").write_text(space)
    places = ("--bars", str(market), "--config", str(folder / "bot.yaml"), "--state-dir", str(folder / "state"))
    return (str(folder / "space.yaml"), *places)
