"""`tradebot fetch-flow`: fetch flow from the endpoints that are due, keep the valid rows, and count the others."""

from typing import Annotated

import typer

from commands.shared.declaration import NOT_RUN, VerbPurpose, verb
from commands.shared.verb_options import (
    Config,
    ForceSlot,
    Json,
    StateDir,
    caller,
    finish,
    open_bot,
    opened_to_plan,
    progress_bar,
)

Stream = Annotated[bool, typer.Option("--stream", help="Get alerts as they arrive, over the source's websocket.")]
Lasting = Annotated[
    str | None, typer.Option("--for", help="With --stream: for how long, such as 90s or 5m [until the close].")
]


@verb(
    "fetch-flow",
    VerbPurpose.TRADE,
    20,
    {
        "fetch-flow/1": ("commands.fetch_flow.run:FlowFetched", "commands.fetch_flow.streaming:FlowStreamed", NOT_RUN),
        "fetch-flow-plan/1": ("commands.fetch_flow.run:PlannedFetches",),
    },
    epilog="tradebot fetch-flow\ntradebot fetch-flow --plan\n"
    "tradebot fetch-flow --endpoint flow_alerts --symbol AAPL\n"
    "tradebot fetch-flow --stream --for 5m",
)
def fetch_flow(
    endpoint: Annotated[
        list[str] | None, typer.Option("--endpoint", help="Fetch from this endpoint now; repeatable.")
    ] = None,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Fetch for this symbol now; repeatable.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the calls that a session would make, without contacting the source.")
    ] = False,
    force_slot: ForceSlot = False,
    stream: Stream = False,
    lasting: Lasting = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Fetch options flow from the endpoints that are due.

    Valid rows are stored; the others are counted by reason. Calls that don't fit the source's limits are made less
    often, or dropped.
    """
    from commands.fetch_flow.run import check_alone, run, run_plan

    check_alone(stream, lasting, plan, endpoint, symbol, force_slot)
    if stream:
        with open_bot(state_dir, config) as bot:
            from commands.fetch_flow.streaming import run as run_stream

            report = run_stream(bot, lasting=lasting)
    elif plan:
        with opened_to_plan(state_dir, config) as bot:
            report = run_plan(bot)
    else:
        with open_bot(state_dir, config) as bot, progress_bar("fetching flow") as progress:
            named = {"endpoints": endpoint or (), "symbols": symbol or ()}
            report = run(bot, by=caller(), force_slot=force_slot, progress=progress, **named)
    finish(report, as_json)
