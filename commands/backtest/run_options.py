"""The options of verbs that run backtests."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import typer
from msgspec import Struct

from commands.init import NAMES, Actions, BarsAs, BarStamp, Edge, Fill, FlowFolder, Seed, Sessions, Symbols, Venue
from commands.shared.completion import profiles
from commands.shared.span_options import From, To, days_of
from commands.shared.verb_options import Config, StateDir

MOST_CUTS = 100_000


class BacktestOptions(Struct, frozen=True):
    """The options as they were typed; None and empty values come from the configuration."""

    state_dir: str | None = None
    config: str | None = None
    profile: str | None = None
    bars: str | None = None
    bar_stamp: str | None = None
    first: date | None = None
    last: date | None = None
    sessions: int | None = None
    seed: int | None = None
    edge: float | None = None
    flow_folder: str | None = None
    corporate_actions: bool | None = None
    symbols: str | None = None
    cash: float | None = None
    fill: str | None = None
    costs: Sequence[str] = ()
    prices: str | None = None
    day_prices: str | None = None
    recorder: str = "full"
    every_pass: bool = False
    equity_at: str = "market"
    margin: str = "reg_t"
    past_flow: str | None = None
    venue: str | None = None
    bars_as: Sequence[str] = ()
    over: Mapping[str, Any] = {}
    """Settings that a verb puts over all others."""


class RunOptions(Struct, frozen=True):
    """Further options of a run: its name, and how to treat an earlier one.

    `cuts` is the number of moments to check for look-ahead, 0 for all; None for no check. With `sensitivity`, the run
    is repeated with other costs and times.
    """

    name: str | None = None
    resume: bool = False
    force: bool = False
    cuts: int | None = None
    sensitivity: bool = False


Bars = Annotated[
    str | None, typer.Option("--bars", help="File of minute or daily bars: docs/BARS.md [a generated market].")
]
Cash = Annotated[float | None, typer.Option("--cash", min=1, help="USD to begin with [sandbox.cash_usd].")]
Cost = Annotated[
    list[str] | None,
    typer.Option(
        "--cost",
        metavar="NAME=VALUE",
        help="A cost, such as slippage_bps=5; or measured: the slippage that parity found.",
    ),
]
Prices = Annotated[
    str | None, typer.Option("--prices", help="Daily bars: raw (dividends paid in cash) or adjusted (looks ahead).")
]
DayPrices = Annotated[
    str | None,
    typer.Option(
        "--day-prices",
        help=("Daily bars: show the day's close only at the close (open-and-close), or already near the open (close)."),
    ),
]
Flow = Annotated[
    str | None, typer.Option("--flow", metavar="FOLDER", help="Replay the flow that this folder's bot has fetched.")
]
Profile = Annotated[
    str | None, typer.Option("--profile", help=f"Play a shipped profile instead: {NAMES}", autocompletion=profiles)
]
EquityAt = Annotated[
    str, typer.Option("--equity-at", help="Value positions at market, or at last_fill to reproduce a study.")
]
Margin = Annotated[str, typer.Option("--margin", help="reg_t, or free (no limit on leverage) to reproduce a study.")]
Recorder = Annotated[str, typer.Option("--recorder", help="How much of each pass to store: none, counts or full.")]
EveryPass = Annotated[bool, typer.Option("--every-pass", help="Also run passes that would change nothing.")]
CheckLookahead = Annotated[
    bool, typer.Option("--check-lookahead", help="Check for look-ahead: rerun without future data, and compare.")
]
Cuts = Annotated[int, typer.Option("--cuts", min=0, max=MOST_CUTS, help="Number of cutoff times to test; 0 tests all.")]
Again = Annotated[
    bool,
    typer.Option(
        "--sensitivity", help="Rerun with doubled costs, a day later, and rebalancing on other days of the month."
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="The name of the run [from its fingerprint].")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a finished run of the same name.")]


def wish_of(
    venue: Venue = None,
    bars: Bars = None,
    bars_as: BarsAs = None,
    bar_stamp: BarStamp = None,
    first: From = None,
    last: To = None,
    sessions: Sessions = None,
    cash: Cash = None,
    fill: Fill = None,
    cost: Cost = None,
    prices: Prices = None,
    day_prices: DayPrices = None,
    seed: Seed = None,
    edge: Edge = None,
    corporate_actions: Actions = None,
    flow: Flow = None,
    flow_folder: FlowFolder = None,
    symbols: Symbols = None,
    profile: Profile = None,
    equity_at: EquityAt = "market",
    margin: Margin = "reg_t",
    recorder: Recorder = "full",
    every_pass: EveryPass = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> BacktestOptions:
    """Return the options of a backtest from the command line's values."""
    days = days_of(first, last)
    return BacktestOptions(
        state_dir, config, profile, bars, bar_stamp, days.first, days.last, sessions, seed, edge, flow_folder,
        corporate_actions, symbols, cash, fill, tuple(cost or ()), prices, day_prices, recorder, every_pass,
        equity_at, margin, flow, venue, tuple(bars_as or ()))  # fmt: skip
