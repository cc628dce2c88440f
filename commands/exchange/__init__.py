"""`tradebot exchange`: serve, inspect, advance and reset the embedded exchange."""

import os
from typing import Annotated

import typer

from commands.exchange.place import note_if_started
from commands.init import (
    Actions,
    Bars,
    BarsAs,
    BarStamp,
    DataPlan,
    Edge,
    Fill,
    FlowFolder,
    MarketOptions,
    Seed,
    Sessions,
    Start,
    Symbols,
    flags_of,
    market_flags,
)
from commands.init.profiles import symbol_flags
from commands.shared.completion import accounts as account_names
from commands.shared.completion import fault_actions, fault_names, paces, ready_names, reset_account, steps
from commands.shared.declaration import VerbPurpose, changes_trading, group, verb
from commands.shared.verb_options import Config, Json, StateDir, finish, open_bot
from tradebot.adapters.state import state_folder

group("exchange", "Serve, inspect and control the embedded exchange.")


Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")]
Pace = Annotated[
    str,
    typer.Option("--time", help="How time passes: step (only by exchange tick), real, or 60x.", autocompletion=paces),
]
RateLimit = Annotated[
    int | None,
    typer.Option("--rate-limit", min=1, max=1_000_000, help="Requests per minute for each key (Alpaca allows 200)."),
]
FlowRateLimit = Annotated[
    int | None,
    typer.Option(
        "--flow-rate-limit", min=1, max=1_000_000, help="Flow requests per minute for each key (plans allow 120)."
    ),
]
FlowDailyLimit = Annotated[
    int | None,
    typer.Option(
        "--flow-daily-limit", min=1, max=10_000_000, help="Flow requests per day for each key (plans allow 15000)."
    ),
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", help="Add an account: NAME or NAME=CASH. NAME is also its key and its secret."),
]
FaultScripts = Annotated[
    list[str] | None,
    typer.Option("--faults", help="Arm a fault script: a file or a ready-made name.", autocompletion=ready_names),
]
Latency = Annotated[
    str | None,
    typer.Option("--latency", help="Delay of cancels and replacements: instant, paper, slow, 250ms, 2s."),
]


@verb(
    "exchange serve",
    VerbPurpose.EXCHANGE,
    10,
    {"exchange-serve/1": ("commands.exchange.serve:ExchangeAddress",)},
    epilog="tradebot exchange serve --port 8787\ntradebot exchange serve --time 60x --account alice=50000",
)
def _serve(
    port: Port = 0,
    pace: Pace = "step",
    rate_limit: RateLimit = None,
    account: Accounts = None,
    faults: FaultScripts = None,
    latency: Latency = None,
    flow_rate_limit: FlowRateLimit = None,
    flow_daily_limit: FlowDailyLimit = None,
    fill: Fill = None,
    bars: Bars = None,
    bars_as: BarsAs = None,
    bar_stamp: BarStamp = None,
    sessions: Sessions = None,
    start: Start = None,
    seed: Seed = None,
    edge: Edge = None,
    flow_folder: FlowFolder = None,
    corporate_actions: Actions = None,
    data_plan: DataPlan = None,
    symbols: Symbols = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Serve the embedded exchange to any client of its venue.

    Runs until Ctrl-C and says what is optimistic about --fill. If the folder has no market, one is created.
    """
    from commands.exchange.faults import script_of
    from commands.exchange.serve import ServeOptions, accounts_of, serve, settings_for, venue_at
    from tradebot.app.loading import Options

    path = state_folder.resolve(state_dir, os.environ)
    accounts = accounts_of(account or ())
    market = MarketOptions(
        bars, bar_stamp, sessions, start, seed, edge, flow_folder, fill, corporate_actions, data_plan, bars_as or ()
    )
    options = Options(state_dir, config)
    flags = flags_of("sandbox", market_flags(market, venue_at(path, options) if bars else None), symbol_flags(symbols))
    scripts = tuple(script_of(name) for name in faults or ())
    settings, every_symbol = settings_for(path, options, pace, flags)
    flow_limits = (flow_rate_limit, flow_daily_limit)
    wish = ServeOptions(settings, every_symbol, port, pace, rate_limit, accounts, scripts, latency, *flow_limits)
    serve(path, wish, as_json)


@verb(
    "exchange status",
    VerbPurpose.EXCHANGE,
    20,
    {"exchange-status/1": ("commands.exchange.status:ExchangeStatus",)},
    epilog="tradebot exchange status\ntradebot exchange status --json",
)
def _status(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Show the exchange's address, time, accounts and faults."""
    from commands.exchange.status import run

    finish(run(state_folder.resolve(state_dir, os.environ)), as_json)


@verb(
    "exchange tick",
    VerbPurpose.EXCHANGE,
    30,
    {"exchange-tick/1": ("commands.exchange.status:ClockAdvanced",)},
    epilog="tradebot exchange tick 5m\ntradebot exchange tick next_open",
)
def _tick(
    step: Annotated[
        str,
        typer.Argument(
            help="How far: 90s, 5m, 2h, 2d, open, close, next_open, or a time such as 2026-11-16T21:00Z.",
            autocompletion=steps,
        ),
    ] = "5m",
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Advance the exchange's time.

    Time stands still unless you advance it.
    """
    from commands.exchange.status import tick, tick_served

    path = state_folder.resolve(state_dir, os.environ)
    with note_if_started(path / state_folder.EXCHANGE):
        if state_folder.has_marker(path):
            with open_bot(state_dir, config) as bot:
                report = tick(bot, step)
        else:
            report = tick_served(path, step)
    finish(report, as_json)


@verb(
    "exchange reset",
    VerbPurpose.EXCHANGE,
    40,
    {"exchange-reset/1": ("commands.exchange.status:Reset",)},
    epilog="tradebot exchange reset alice --confirm alice",
)
@changes_trading
def _reset(
    account: Annotated[
        str, typer.Argument(help="Account to reset.", autocompletion=account_names, show_default=True)
    ] = "main",
    cash: Annotated[
        str | None, typer.Option("--cash", help="Starting cash in USD; by default the same as before.")
    ] = None,
    confirmed: Annotated[
        str | None,
        typer.Option(
            "--confirm", help="Type the account's name here if there is no terminal.", autocompletion=reset_account
        ),
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Reset an account to its starting cash.

    It keeps its key and gets a new number. Its orders and positions are deleted, so you have to confirm.
    """
    from commands.exchange.status import run_reset as run

    finish(run(state_folder.resolve(state_dir, os.environ), account, cash, confirmed), as_json)


@verb(
    "exchange faults",
    VerbPurpose.EXCHANGE,
    50,
    {"exchange-faults/1": ("commands.exchange.faults:Faults",)},
    epilog="tradebot exchange faults\ntradebot exchange faults add lost-reply\ntradebot exchange faults clear",
)
def _faults(
    action: Annotated[
        str, typer.Argument(help="list, add, clear, show or ready.", autocompletion=fault_actions)
    ] = "list",
    name: Annotated[
        str | None,
        typer.Argument(
            help="For add: a file, a ready-made script, or - for stdin. For show: a ready-made script or a fault. "
            "For clear: a rule [all rules].",
            autocompletion=fault_names,
        ),
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Inject faults from a script, and show which have fired."""
    from commands.exchange.faults import run

    finish(run(state_folder.resolve(state_dir, os.environ), action, name), as_json)


@verb(
    "exchange page",
    VerbPurpose.EXCHANGE,
    60,
    {"exchange-page/1": ("commands.exchange.status:ExchangePage",)},
    epilog="tradebot exchange page\ntradebot exchange page --open",
)
def _page(
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Print the address of the exchange's web page.

    The page shows accounts, each order's life, the tape and the log. On it you can advance time, and switch faults on
    and off.
    """
    from commands.exchange.status import page

    finish(page(state_folder.resolve(state_dir, os.environ), browser), as_json)
