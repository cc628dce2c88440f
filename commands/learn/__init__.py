"""`tradebot learn`: propose settings based on the closed trades. It only proposes, and changes nothing."""

from pathlib import Path
from typing import Annotated

import typer

from commands.shared.completion import strategies
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.span_options import From, To, days_of
from commands.shared.verb_options import Config, Explain, Json, StateDir, finish, open_bot
from tradebot.errors import OperatorError, word
from tradebot.views.trades.trade_row import Choice

Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Only trades of this strategy.", autocompletion=strategies)
]
Write = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Write a configuration with the proposals to FILE.")
]


@verb(
    "learn",
    VerbPurpose.LOOK,
    150,
    {"learn/1": ("commands.learn.report:Learned",)},
    epilog="tradebot learn\ntradebot learn --strategy flow --from 2026-11-16 --json\n"
    "tradebot learn --write learned.yaml  # then: tradebot config check learned.yaml",
)
def learn(
    write: Write = None,
    first: From = None,
    last: To = None,
    strategy: Strategy = None,
    explain: Explain = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Propose settings based on the results of trades.

    Reads the closed trades and what gates blocked, and proposes weights of signals, times of entries, sizes of orders,
    exits, profit targets and limits, each with its evidence. Limits only get tighter. With too few trades, it says how
    many more are needed. Nothing is changed. --write creates a file that you can check, use in a search, and adopt.
    """
    from commands.learn.report import run

    choice = Choice(days_of(first, last), strategy)
    with open_bot(state_dir, config) as bot:
        in_use = bot.settings.strategies.sections()
        if strategy is not None and strategy not in in_use:
            raise OperatorError(f"strategy {word(strategy)} isn't in use", f"name one of these: {', '.join(in_use)}")
        report = run(bot, choice, config, write)
    finish(report, as_json, explain)
