"""The data of `tradebot parity`, and its screen: how a session's bot differed from its backtest, and why."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.score.run import day_of
from commands.shared.light_helpers import clean
from commands.shared.number_format import to_cent
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import slot_for_reader, when
from commands.shared.verb_options import Report, identity, progress_bar
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.parity import parity_of
from tradebot.model.parity import DayParity, DifferenceType, ParityCause
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.views.parity import LATELY, ParityTotals, in_words, over_time

if TYPE_CHECKING:
    from datetime import date

    from rich.console import Console

    from tradebot.app.wiring import App

SHOWN = 20
"""How many differences the screen has; `--json` has them all."""
MEANING: Mapping[ParityCause, str] = {
    ParityCause.PRICE: "the bot saw other prices",
    ParityCause.LATE_DATA: "data came later than it was due",
    ParityCause.REVISED_DATA: "data has changed since",
    ParityCause.FILL_MODEL: "the broker answered or filled differently than assumed",
    ParityCause.MISSED_SLOT: "no pass finished in the slot",
    ParityCause.OURS: "nothing outside the bot explains it",
}


class Parity(Struct, frozen=True):
    """A session compared with its backtest, and the totals of recent comparisons."""

    day: DayParity
    over_time: ParityTotals | None


def render(out: "Console", data: Parity) -> None:
    """Print what was compared, the differences by cause, and the first differences."""
    day = data.day
    span = f"Session {day.session}" + ("" if day.complete else " so far")
    how = "played again" if day.played else "decided again, with fills compared with the quotes that passes saw"
    compared = (
        pluralize(day.decisions, "decision"),
        pluralize(day.orders, "order request"),
        pluralize(day.fills, "filled order"),
    )
    out.print(f"{span}, {how}: {pluralize(day.passes, 'pass', 'passes')}, {', '.join(compared)}")
    if not day.differences:
        out.print("  the backtest's decisions, orders and fills are the same, to the cent")
    else:
        _causes(out, day)
        _differences(out, day)
    if data.over_time:
        out.print(f"Over time, {in_words(data.over_time)}")
        if data.over_time.slippage_bps is not None:
            out.print("Next: tradebot backtest --cost measured uses the measured slippage")
    if day.ours:
        first = next(difference for difference in day.differences if difference.cause is ParityCause.OURS)
        out.print(f"Next: tradebot replay {first.job}.{day.session}.{first.slot} decides that pass again", markup=False)


def _causes(out: "Console", day: DayParity) -> None:
    columns = last_folded_column("cause"), number("decisions"), number("orders"), number("fills"), number("cost USD")
    table = Table(*columns, sentence("what it means"))
    for cause in day.causes:
        counts = (f"{each:,}" for each in (cause.decisions, cause.orders, cause.fills))
        table.row(cause.cause.value, *counts, f"{to_cent(cause.cost_usd):+,.2f}", MEANING[cause.cause])
    out.print(table)


def _differences(out: "Console", day: DayParity) -> None:
    sides = sentence("live", "live"), sentence("backtest", "backtest")
    table = Table("time", "what", last_folded_column("symbol"), "cause", number("cost USD"), *sides)
    costly = sorted(day.differences, key=lambda gap: (gap.cause is not ParityCause.OURS, -abs(gap.cost_usd), gap.at))
    for gap in costly[:SHOWN]:
        cost = "" if gap.what is DifferenceType.DECISION else f"{to_cent(gap.cost_usd):+,.2f}"
        symbol = gap.symbol or "all"
        details = (clean(slot_for_reader(side, gap.at)) for side in (gap.live, gap.played))
        table.row(when(gap.at), gap.what.value, symbol, gap.cause.value, cost, *details)
    out.print(table)
    if len(costly) > SHOWN:
        out.print(f"  … and {len(costly) - SHOWN:,} more: tradebot parity {day.session} --json")


def run(app: "App", typed: str | None) -> Report:
    """Compare a session, by default the last recorded one; exit 10 if any difference has no cause outside the bot."""
    day = day_of(typed) if typed else _last(app)
    with progress_bar("playing the session again") as progress:
        day_parity = parity_of(app, day, progress)
    if day_parity.complete:
        app.facts.put_parity(replace(day_parity, differences=()))
    data = Parity(day_parity, over_time(app.facts.parities(LATELY)))
    return Report("parity", data, render, ExitCode.FINDINGS if day_parity.ours else ExitCode.DONE, identity(app))


def _last(app: "App") -> "date":
    every = app.passes.passes()
    if not every:
        hint = "tradebot serve records passes as they run; storage.replay_sessions sets how many sessions are kept"
        raise OperatorError("No pass is recorded, so there is no session to replay.", hint)
    return every[-1].session
