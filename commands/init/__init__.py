"""`tradebot init`: its options, and the market that they describe."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from commands.init.profiles import SHIPPED_PROFILE, symbol_flags, venue_named
from commands.shared.completion import complete_symbols, data_plans, fills, profiles, venues
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Config, Json, StateDir, finish
from tradebot.adapters.state.marker_text import FIRST_VENUE, VENUES

NAMES = (
    "flow (as shipped), intraday, overnight, conservative_flow, opening_sweeps, "
    "legacy (to compare scores), rotation (sector funds, monthly), rotation_regimes (three rotations), "
    "smart_money (perpetual futures of coins), smart_money_february (the earlier bot's "
    "values), futures (micro contracts) or "
    "policy (a learned one)."
)
"""The shipped profiles, for the help of each verb that takes one."""


class MarketOptions(NamedTuple):
    """The market that the options describe; a value of None comes from the configuration."""

    bars: str | None = None
    bar_stamp: str | None = None
    sessions: int | None = None
    start: str | None = None
    seed: int | None = None
    edge: float | None = None
    flow_folder: str | None = None
    fill: str | None = None
    corporate_actions: bool | None = None
    data_plan: str | None = None
    bars_as: Sequence[str] = ()


def market_flags(wish: MarketOptions, venue: str | None = None) -> dict[str, Any]:
    """Return the sandbox section for the options; the suffix of a recorded file determines its source.

    If `venue` is None, the default venue applies. Without a start date, the market begins where its recorded bars or
    its captured flow begin.
    """
    source, start, sessions, stamp = None, wish.start, wish.sessions, wish.bar_stamp
    reading: Mapping[str, str] = {}
    if wish.bars or (wish.flow_folder and start is None):
        from tradebot.app import sandbox
    if wish.bars:
        file = sandbox.read_recorded_file(wish.bars, stamp, wish.bars_as, wish.start, venue)
        source, start, sessions = file.source, start or file.days[0].isoformat(), sessions or len(file.days)
        stamp, reading = file.bar_stamp, file.reading
    elif wish.flow_folder and start is None:
        day = sandbox.captured_session(wish.flow_folder)
        start = day.isoformat() if day else None
    options = {
        "source": source,
        "path": _absolute(wish.bars),
        "bar_stamp": stamp,
        "reading": reading or None,
        "sessions": sessions,
        "start": start,
        "seed": wish.seed,
        "edge": wish.edge,
        "flow_folder": _absolute(wish.flow_folder),
        "corporate_actions": wish.corporate_actions,
        "data_plan": wish.data_plan,
        "fill": None if wish.fill is None else {"model": wish.fill},
    }
    return {key: value for key, value in options.items() if value is not None}


def _absolute(path: str | None) -> str | None:
    return str(Path(path).resolve()) if path else None


def symbols_in(wish: MarketOptions, venue: str | None) -> str | None:
    """Return the perpetuals in the recorded files, separated by commas.

    The result is None without recorded files, and at a venue without perpetuals.
    """
    from tradebot.app import sandbox

    if not wish.bars or not sandbox.has_perpetuals(venue):
        return None
    file = sandbox.read_recorded_file(wish.bars, wish.bar_stamp, wish.bars_as, wish.start, venue)
    return ",".join(sorted(file.contracts))


Bars = Annotated[str | None, typer.Option("--bars", help="File of recorded bars, minute or daily: docs/BARS.md.")]
BarsAs = Annotated[
    list[str] | None,
    typer.Option(
        "--bars-as", metavar="NAME=VALUE", help="How to read the file, such as zone=UTC; or shape, decimal, symbol."
    ),
]
BarStamp = Annotated[str | None, typer.Option("--bar-stamp", help="What minute bars are stamped with: start or end.")]
Sessions = Annotated[int | None, typer.Option("--sessions", help="Number of sessions in the market.")]
Start = Annotated[str | None, typer.Option("--start", help="Date of the first session, YYYY-MM-DD.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed for the generated market and flow.")]
EDGE = (
    "Shares: how much generated flow predicts, 0 to 1; 0 is noise. Perpetuals: 0 takes trends and shocks out of the "
    "prices, so that nothing predicts them; any other number leaves them in."
)
Edge = Annotated[float | None, typer.Option("--edge", help=EDGE)]
FlowFolder = Annotated[str | None, typer.Option("--flow-folder", help="Use captured flow responses from this folder.")]
Fill = Annotated[
    str | None,
    typer.Option("--fill", help="When orders fill: next-bar, next-open, close, or paper.", autocompletion=fills),
]
Actions = Annotated[
    bool | None,
    typer.Option("--corporate-actions/--no-corporate-actions", help="Include dividends and splits, or leave them out."),
]
DataPlan = Annotated[
    str | None,
    typer.Option("--data-plan", help="free (SIP prices 15 minutes late) or paid.", autocompletion=data_plans),
]
Symbols = Annotated[
    str | None,
    typer.Option("--symbols", help="Number of symbols, or names separated by commas.", autocompletion=complete_symbols),
]


Venue = Annotated[
    str | None,
    typer.Option("--venue", help=f"Where the account is: {VENUES}.", autocompletion=venues, show_default=FIRST_VENUE),
]


def flags_of(mode: str, sandbox: dict[str, Any], symbols: dict[str, Any], venue: str | None = None) -> dict[str, Any]:
    """Return the configuration layer for the options."""
    named = {"venue": venue} if venue else {}
    return {"mode": mode, **named, **({"sandbox": sandbox} if sandbox else {}), **symbols}


@verb(
    "init",
    VerbPurpose.TRY,
    40,
    {"init/1": ("commands.init.making:BotCreated",)},
    elsewhere=True,
    epilog="tradebot init\ntradebot init --wizard\ntradebot init --mode paper --shadow --state-dir paper",
)
def init(
    mode: Annotated[str, typer.Option("--mode", help="sandbox, paper or live.")] = "sandbox",
    venue: Venue = None,
    bars: Bars = None,
    bars_as: BarsAs = None,
    bar_stamp: BarStamp = None,
    sessions: Sessions = None,
    start: Start = None,
    seed: Seed = None,
    edge: Edge = None,
    flow_folder: FlowFolder = None,
    fill: Fill = None,
    corporate_actions: Actions = None,
    data_plan: DataPlan = None,
    symbols: Symbols = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help=f"Settings to begin with: {NAMES}",
            autocompletion=profiles,
        ),
    ] = SHIPPED_PROFILE,
    shadow: Annotated[bool, typer.Option("--shadow", help="Decide and record, but send no orders.")] = False,
    wizard: Annotated[
        bool, typer.Option("--wizard", help="Ask five questions, and write a configuration from the answers.")
    ] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create a bot in a new folder.

    A sandbox bot gets a market too. A paper or live bot is bound to the account of your keys.
    """
    wish = MarketOptions(
        bars, bar_stamp, sessions, start, seed, edge, flow_folder, fill, corporate_actions, data_plan, bars_as or ()
    )
    in_shadow: dict[str, Any] = {"shadow": True} if shadow else {}
    if wizard:
        from commands.init.wizard import run as asking

        options = (*wish[:-1], bars_as, venue, symbols, config, None if profile == SHIPPED_PROFILE else profile)
        finish(
            asking(state_dir, in_shadow, alone=mode == "sandbox" and not any(option is not None for option in options)),
            as_json,
        )
        return
    named = venue_named(venue, profile, config)
    sandbox, symbols = market_flags(wish, named), symbols or symbols_in(wish, named)
    flags = flags_of(mode, sandbox, symbol_flags(symbols, venue, profile, config), venue) | in_shadow
    from commands.init.making import run

    finish(run(state_dir, config, "user", flags, profile), as_json)
