"""`tradebot shadow`: let the strategies in shadow trade on simulated fills, each with separate books."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.declaration import VerbPurpose
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, usd
from commands.shared.times import when
from commands.shared.verb_options import Report, caller, identity, on_bot
from tradebot.app.shadow_strategies import (
    ShadowApp,
    count_open_positions,
    opened_in_shadow,
    shadow_folder,
    shadow_reasons,
)
from tradebot.errors import DamagedBooksError, ExitCode, TradebotError
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.venues.simulated.account import replacement_advice

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App


class ShadowRow(Struct, frozen=True):
    """One strategy in shadow: why it is in shadow, the result of its last pass, and its simulated account in USD.

    `problem` says why its pass failed; its figures are then None. `held` counts positions that the strategy still has
    at the broker: it isn't in shadow until they are closed. `halted` says which halt blocks its entries.
    """

    strategy: str
    why: str
    folder: str
    since: datetime | None = None
    entries: int = 0
    exits: int = 0
    positions: int | None = None
    equity: Decimal | None = None
    result: Decimal | None = None
    held: int = 0
    problem: str = ""
    halted: str = ""


class ShadowStrategies(Struct, frozen=True):
    """The strategies in shadow, by name."""

    strategies: tuple[ShadowRow, ...]


def run(app: "App", *, by: str) -> Report:
    """Run a pass of each strategy in shadow; exit 10 if one failed."""
    rows = tuple(_row(app, name, why, by) for name, why in shadow_reasons(app).items())
    code = ExitCode.FINDINGS if any(row.problem for row in rows) else ExitCode.DONE
    return Report("shadow", ShadowStrategies(rows), _render, code, identity(app))


def _row(app: "App", name: str, why: str, by: str) -> ShadowRow:
    row = ShadowRow(name, clean(why), clean(str(shadow_folder(app, name))), held=count_open_positions(app, name))
    if row.held:
        return row
    try:
        with opened_in_shadow(app, name) as bot:
            return _follow_bot(bot, row, by)
    except TradebotError as error:
        # A strategy that can't be simulated doesn't prevent the others.

        hint = replacement_advice(shadow_folder(app, name)) if isinstance(error, DamagedBooksError) else error.hint
        return replace(row, problem="; ".join(clean(each).rstrip(".") for each in (error.message, hint) if each))


def _follow_bot(bot: "ShadowApp", row: ShadowRow, by: str) -> ShadowRow:
    """Update resting orders, compare the books with the simulated account, and run an exit and an entry pass."""
    from commands.evaluate_exits.run import run as exits
    from commands.reconcile.run import run as reconcile
    from commands.trade_once.run import run as entries

    bot.venue.look()
    before = {record.client_order_id for record in (intent.intent for intent in bot.ledger.intents())}
    reconcile(bot, by=by)
    exits_sent = entered = 0
    if bot.reader.clock().is_open:
        exits(bot, by=by, force_slot=True)
        exits_sent = _n_sent(bot, before)
        entries(bot, by=by, force_slot=True)
        entered = _n_sent(bot, before) - exits_sent
        # Before time advances, immediate fills are in the books and have their stops.
        reconcile(bot, by=by)
        if entered:
            exits(bot, by=by, force_slot=True)
            exits_sent = _n_sent(bot, before) - entered
    account = bot.reader.account()
    position_count = len(bot.venue.view().positions)
    begun = bot.ledger.books_opened_at()
    result = account.equity - bot.ledger.opening_cash()
    state = bot.ledger.trading_state()
    halted = "" if state.state is TradingState.ACTIVE else clean(f"{state.state} by {state.who}: {state.why}")
    return replace(
        row, since=begun, entries=entered, exits=exits_sent, positions=position_count, equity=account.equity,
        result=result, halted=halted,
    )  # fmt: skip


def _n_sent(bot: "ShadowApp", before: set[str]) -> int:
    return sum(record.intent.client_order_id not in before for record in bot.ledger.intents())


def _render(out: "Console", data: ShadowStrategies) -> None:
    from commands.shared.tables import Table, number, sentence

    if not data.strategies:
        out.print("No strategy is in shadow. To put one in shadow, set strategies.NAME.shadow: true.")
        return
    table = Table(
        "strategy",
        "since",
        number("orders"),
        number("positions"),
        number("equity USD"),
        number("result USD"),
        sentence("why"),
    )
    for row in data.strategies:
        if row.equity is None or row.result is None:
            waits = f"in shadow once its {pluralize(row.held, 'position')} at the broker are closed"
            table.row(row.strategy, "", "", "", "", "", row.problem or waits)
            continue
        since = when(row.since) if row.since else ""
        table.row(
            row.strategy,
            since,
            str(row.entries + row.exits),
            str(row.positions),
            usd(row.equity),
            format_signed(float(row.result), 2),
            row.why,
        )
    out.print(table)
    for row in data.strategies:
        if row.halted:
            out.print(f"{row.strategy} sends no entries: {row.halted}", markup=False)
            ends = 'tradebot unhalt --reason "…" --state-dir'
            out.print(f"  to end that halt: {ends} {row.folder}", markup=False)
    out.print(f"Next: tradebot report --state-dir {data.strategies[0].folder}", markup=False)


@on_bot(
    "shadow", VerbPurpose.TRADE, 70, {"shadow/1": (ShadowStrategies,)}, epilog="tradebot shadow\ntradebot shadow --json"
)
def shadow(bot: "App") -> Report:
    """Let strategies in shadow trade on simulated fills.

    Each strategy decides on the bot's facts and prices, but has a separate account and books in STATE/shadow/NAME.
    Every read-only verb can show them. Nothing reaches the broker. A strategy is in shadow if its section says `shadow:
    true` or, in a live bot, if it isn't promoted to real money yet. The timetable runs it every few minutes.
    """
    return run(bot, by=caller())
