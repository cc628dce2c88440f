"""`tradebot demo`: run sessions on the embedded exchange, using the same functions as the verbs."""

from typing import Annotated

import typer

from commands.init import (
    Bars,
    BarsAs,
    BarStamp,
    Edge,
    FlowFolder,
    MarketOptions,
    Seed,
    Start,
    Symbols,
    Venue,
    flags_of,
    market_flags,
    symbols_in,
)
from commands.init.profiles import symbol_flags, venue_named
from commands.shared.completion import complete_assignments, strategies
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import (
    Config,
    Json,
    StateDir,
    finish,
    progress_bar,
)

SESSION_MINUTES, LONGEST = 390, 1440
"""The minutes of a session that are run by default, and those of the longest one."""

MOST_SESSIONS = 250

Changed = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting for this run only; may be given several times.",
        autocompletion=complete_assignments,
    ),
]  # fmt: skip


@verb(
    "demo",
    VerbPurpose.TRY,
    10,
    {"demo/1": ("commands.demo.report:DemoData",)},
    elsewhere=True,
    epilog="tradebot demo\ntradebot demo --minutes 30\ntradebot demo --edge 0  # flow that predicts nothing\n"
    "tradebot demo --set limits.max_open_positions=5 --sessions 5",
)
def demo(
    changed: Changed = None,
    sessions: Annotated[
        int | None, typer.Option("--sessions", min=1, max=MOST_SESSIONS, help="Number of sessions to play.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", help="Let only this strategy trade.", autocompletion=strategies),
    ] = None,
    minutes: Annotated[
        int, typer.Option("--minutes", min=1, max=LONGEST, help="Number of minutes of a session to play.")
    ] = SESSION_MINUTES,
    venue: Venue = None,
    bars: Bars = None,
    bars_as: BarsAs = None,
    bar_stamp: BarStamp = None,
    start: Start = None,
    seed: Seed = None,
    edge: Edge = None,
    flow_folder: FlowFolder = None,
    symbols: Symbols = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Play trading sessions on the embedded exchange.

    It needs no account and no keys, and uses the tradebot.yaml in its folder if there is one. It replaces an earlier
    demo in that folder with all that belongs to it: books, backups, notes and imported bars. At the end it checks the
    bot's books against the exchange's, and compares the result with the last run.
    """
    from commands.demo.run import DemoOptions, held_sessions, run

    named = venue_named(venue, config=config)
    market = MarketOptions(bars, bar_stamp, None, start, seed, edge, flow_folder, bars_as=bars_as or ())
    sandbox, symbols = market_flags(market, named), symbols or symbols_in(market, named)
    if sessions is not None:
        sandbox["sessions"] = held_sessions(sandbox.get("sessions"), sessions)
    flags = flags_of("sandbox", sandbox, symbol_flags(symbols, venue, config=config), venue)
    with progress_bar("playing the session" if sessions in (None, 1) else "playing the sessions") as progress:
        report = run(state_dir, flags, minutes, progress, DemoOptions(sessions or 1, strategy, changed or (), config))
    finish(report, as_json)
