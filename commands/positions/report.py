"""`tradebot positions`: show positions and how far each exit rule is from closing them. Doesn't contact the broker."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.shared.bot_records import age_reference_time, last_passes, load_holdings, open_trades
from commands.shared.light_helpers import clean
from commands.shared.notes import left_by_earlier_orders, notes, unlike_the_broker
from commands.shared.number_format import duration, format_distance, show_funding, show_margin, time_left, usd
from commands.shared.tables import Table, number, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.errors import ExitCode
from tradebot.exits.rules import kinds
from tradebot.model.record import DOUBTED
from tradebot.model.sentences import pluralize
from tradebot.timetable.sessions import next_open
from tradebot.views.holdings import (
    FOREIGN_OWNER,
    AccountMargin,
    FundingSoFar,
    Holding,
    PositionProtection,
    StopRow,
    UnfinishedClose,
    account_margin,
    funding_so_far,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.trade import Trade


class Positions(Struct, frozen=True, omit_defaults=True):
    """All open positions at `as_of`, the last recorded trading time; `fills` counts the fills that they come from.

    `notes` are warnings that a person should read along with the positions. If `is_unlike_broker` is True, some of them
    say how the broker's positions differ. `trades` has the executions so far of each of the bot's positions, with
    prices and reasons, in the order of opening. While the market is closed, `acts_from` is when it opens, because
    neither the bot nor the stops at the broker act before then; otherwise it is None. The symbols
    `left_by_earlier_orders` are those whose foreign shares the bot itself bought, with orders that these books don't
    contain. Only a margin account has `margin` and `funding`.
    """

    as_of: datetime | None
    positions: "tuple[Holding, ...]"
    unrealized_usd: Decimal
    fills: int
    notes: tuple[str, ...]
    trades: "tuple[Trade, ...]"
    acts_from: datetime | None
    left_by_earlier_orders: tuple[str, ...]
    margin: "AccountMargin | None" = None
    funding: "tuple[FundingSoFar, ...]" = ()
    is_unlike_broker: bool = False


def run(app: "App") -> Report:
    """Compute positions from the fills, and compare each with the exit rules at the last recorded prices.

    The exit code is 10 if the last passes saw that the broker's positions differ.
    """
    passes, totals, mark = last_passes(app.existing_facts), app.ledger_view.totals(), app.ledger_view.last_reconcile()
    now = age_reference_time(app, (*(cycle.at for cycle in passes), mark.at if mark else None))
    rows = load_holdings(app, totals, passes, now)
    gains = (row.unrealized_usd for row in rows if row.unrealized_usd is not None)
    acts_from = next_open(app.ledger_view, now) if now else None
    unrealized, trades, orphaned = sum(gains, Decimal(0)), open_trades(app, totals), left_by_earlier_orders(app, now)
    margin = account_margin(passes)
    funding = funding_so_far(rows, app.ledger_view.past.cash_movements()) if margin else ()
    differing = unlike_the_broker(app, now, passes)
    lines = (*notes(app, orphaned), *differing)
    data = Positions(
        now, rows, unrealized, totals.count, lines, trades, acts_from, orphaned, margin, funding, bool(differing)
    )
    return Report("positions", data, _render, ExitCode.FINDINGS if differing else ExitCode.DONE)


def _render(console: "Console", data: Positions) -> None:
    show(console, data, slice(None))


def show(console: "Console", data: Positions, rows: slice) -> None:
    """Print the notes on all positions, and these rows of the bot's own positions."""
    ours = [row for row in data.positions if row.strategy != FOREIGN_OWNER]
    at = f"at {when(data.as_of)}" if data.as_of else "before any pass"
    positions, fills = pluralize(sum(row.is_held for row in ours), "position"), pluralize(data.fills, "fill")
    unlike = " ([red]the broker's differ, see below[/red])" if data.is_unlike_broker else ""
    console.print(f"{positions}{unlike} {at}, from {fills} in the books; the broker was not queried")
    _show_unrealized(console, data, ours)
    show_own(console, ours[rows])
    for trade in data.trades:
        if trade.exit_price is not None:
            console.print(closed_so_far(trade, trade.exit_price), markup=False)
    for row in ours:
        if row.unfinished is not None:
            console.print(_unfinished_text(row, row.unfinished), markup=False)
    for row in data.positions:
        if row.strategy == FOREIGN_OWNER:
            ours_once = row.symbol in data.left_by_earlier_orders
            sentence = "was opened by earlier orders of the bot that aren't in these books" if ours_once else NOT_OURS
            closed = sum((our.closed_by_others for our in ours if our.symbol == row.symbol), Decimal(0))
            quantity = row.quantity - closed.copy_sign(row.quantity)
            if closed:
                console.print(f"{clean(row.symbol)}: somebody else closed {closed:,f}{ACCEPT}", markup=False)
            if quantity:
                console.print(f"{clean(row.symbol)} {quantity:,f} {sentence}", markup=False)
    for row in ours:
        if row.suspended:
            console.print(_suspended_text(row, data.as_of), markup=False)
    unpriced = [row.symbol for row in ours if row.price is None]
    if unpriced:
        console.print(f"No price is recorded yet for {', '.join(unpriced)}. Next: tradebot evaluate-exits")
    show_margin(console, data.margin)
    show_funding(console, data.funding)
    if ours and data.acts_from:
        console.print(
            f"The market is closed: until {when(data.acts_from)}, no stop acts, whether it rests at the broker or not"
        )
    for line in data.notes:
        console.print(line, markup=False)


def _show_unrealized(console: "Console", data: Positions, ours: "Sequence[Holding]") -> None:
    priced = [row for row in ours if row.price_at and row.cost_usd is not None]
    if priced:
        cost = sum((abs(row.cost_usd) for row in priced if row.cost_usd is not None), Decimal(0))
        moment = max(row.price_at for row in priced if row.price_at is not None)
        gain = f"{data.unrealized_usd:+,.2f} USD on {cost:,.2f} USD"
        older = [clean(row.symbol) for row in priced if row.price_at and row.price_at < moment and row.is_held]
        but = f", or older for {', '.join(older)}" if older else ""
        console.print(f"Unrealized {gain}, at prices of {when(moment)}{but}", markup=False)


def _suspended_text(row: "Holding", now: datetime | None) -> str:
    what = f"{clean(row.symbol)}: the broker has suspended its trading, so no stop acts and nothing can close it"
    if row.price is None or row.price_at is None:
        return f"{what}. No price has been recorded yet"
    age = f", {duration((now - row.price_at).total_seconds())} old" if now else ""
    return f"{what}. Its last price was {usd(row.price, row.symbol)}, at {when(row.price_at)}{age}"


def _unfinished_text(row: "Holding", close: "UnfinishedClose") -> str:
    why = f"to make room for {clean(close.displaced_by)}" if close.displaced_by else "by hand"
    return (
        f"{clean(row.symbol)}: a close {why}, last sent at {when(close.since)}, isn't finished: {row.quantity:,f} "
        "still open. The next exit pass continues it"
    )


def closed_so_far(trade: "Trade", exit_price: Decimal) -> str:
    """Describe the closed part of a position; `exit_price` is the mean price of the closing trades."""
    what = f"{clean(trade.symbol)} {trade.closed_quantity:,f} of {trade.quantity:,f} are closed"
    # The trade's entry price is the mean of all its shares, of which the first were closed.
    gain = trade.realized_before_fees_usd / (trade.closed_quantity * trade.multiplier)
    entry_price = exit_price - trade.side.sign * gain
    prices = (
        f"from {usd(entry_price, trade.symbol)} to {usd(exit_price, trade.symbol)}, "
        f"{trade.realized_before_fees_usd:+,.2f} USD before fees"
    )
    return f"{what}: {prices}{''.join(f', {clean(reason)}' for reason in trade.reasons)}"


def show_own(console: "Console", rows: "list[Holding]") -> None:
    """Print the bot's positions, the distance to each exit rule, and working protective orders.

    With several strategies, it also shows each position's strategy.
    """
    rules = columns(rows)
    names = ("quantity", "average", "now", "gain", "best", *rules.values(), "age")
    owners = ["strategy"] if len({row.strategy for row in rows}) > 1 else []
    rests = any(row.protection and (row.protection.resting or row.protection.why == "arriving") for row in rows)
    bare = any(row.protection and row.protection.since for row in rows)
    where = [sentence("protection", "protection")] if rests or bare else []
    table = Table("symbol", *owners, "state", *map(number, names), *where)
    for row in rows:
        stops = {stop.rule: _stop(stop, row) for stop in row.stops}
        table.row(
            escape(clean(row.symbol)),
            *(row.strategy for _ in owners),
            f"[red]{row.state}[/]" if row.protection and row.protection.lacks_stop else row.state,
            f"{row.quantity:,f}",
            usd(row.average_price, row.symbol),
            usd(row.price, row.symbol),
            colored_gain(row.gain),
            usd(row.high_water, row.symbol),
            *(stops.get(rule, "") for rule in rules),
            "" if row.age_s is None else duration(row.age_s),
            *("" if row.protection is None else escape(protection(row.protection, rules, row.symbol)) for _ in where),
        )
    if rows:
        console.print(table)
    if any(row.is_held for row in rows) and not rests:
        console.print("No stop rests at the broker; the bot's own rules close these positions")
    _show_own_rules(console, rows, with_owner=bool(owners))


def _show_own_rules(console: "Console", rows: "Iterable[Holding]", *, with_owner: bool) -> None:
    own = [
        f"{clean(row.symbol)}{f' of {row.strategy}' if with_owner else ''} {', '.join(own_rules)}"
        for row in rows
        if (own_rules := _own_rules(row))
    ]
    if own:
        console.print(f"Set by the strategy when it opened the position: {'; '.join(own)}", markup=False)


ACCEPT = " of it at the broker. Next: tradebot reconcile, then accept its plan, which books that"
NOT_OURS = "was not opened by the bot, which leaves it alone"
WHY = {
    "no_stop_rule": "no stop rule is in force",
    "by_setting": "exits.protection is bot",
    "adopted": "it was adopted",
    "fraction": "stops for fractional shares can't rest at the broker",
    "refused": "the broker refused it",
    "arriving": "a stop is on its way to the broker",
    "not_placed": "",
    "exiting": "an exit has replaced it",
    "doubted": "the broker's answers about it disagree",
    "unknown": "it isn't known whether the last stop arrived",
}
"""Why no stop rests at the broker, in words; a reason that isn't listed is the state of the last stop."""
NAMED = 3
"""The most stop prices of a position that are listed; of more, only the lowest and the highest are shown."""


def protection(position_protection: "PositionProtection", headings: "Mapping[str, str]", symbol: str) -> str:
    """Describe the orders that protect a position at the broker.

    Where an order is missing, name the bot's rule that takes its place, and why the order is missing.
    """
    parts = list[str]()
    for name, levels in (
        ("stop", [price for price in position_protection.resting if price.is_stop]),
        ("target", [price for price in position_protection.resting if not price.is_stop]),
    ):
        prices = tuple(dict.fromkeys(usd(level.price, symbol) for level in levels))
        shown = " and ".join(prices)
        if len(prices) > NAMED:
            lowest, highest = (usd(choose(level.price for level in levels), symbol) for choose in (min, max))
            shown = f"{lowest} to {highest} in {pluralize(len(levels), 'order')}"
        parts += [f"{name} {shown}"] if prices else []
    if position_protection.why is None:
        return ", ".join(parts)
    at_broker = f"{', '.join(parts)} for {position_protection.covered:,f}; the rest: " if parts else ""
    # A target alone stops no loss.
    at_broker = at_broker if position_protection.covered or not parts else f"only {', '.join(parts)}; "
    rule = (
        "none"
        if position_protection.rule is None
        else f"the bot's {headings.get(position_protection.rule, position_protection.rule)}"
    )
    why = ": ".join(
        filter(
            None,
            (
                WHY.get(position_protection.why, f"the last one is {position_protection.why}"),
                position_protection.refusal,
            ),
        )
    )
    perhaps = "perhaps " if position_protection.why == DOUBTED else ""
    age = (
        ""
        if position_protection.gap_s is None
        else f"{perhaps}none at the broker for {duration(position_protection.gap_s)}"
    )
    return f"{at_broker}{', '.join(filter(None, (rule, age, why)))}"


def columns(rows: "Iterable[Holding]") -> dict[str, str]:
    """Return the column heading for each exit rule that applies to any of these positions."""
    watching = {stop.rule for row in rows for stop in row.stops}
    headings = {kind.reason.value: kind.column for kind in kinds().values()}
    return {rule: heading for rule, heading in headings.items() if rule in watching}


def _own_rules(row: "Holding") -> list[str]:
    own = [stop.rule for stop in row.stops if stop.own]
    return [heading for rule, heading in columns([row]).items() if rule in own]


def _stop(stop: "StopRow", row: "Holding") -> str:
    """Return the price and how far it is; in brackets if the rule only starts to apply there."""
    if stop.price is None:
        text = "" if stop.left_s is None else time_left(stop.left_s)
        return f"[bold]{text}[/bold]" if stop.rule == row.nearest else text
    way = "" if stop.distance is None else format_distance(stop.distance)
    text = f"{usd(stop.price, row.symbol)} {way}".rstrip()
    if not stop.armed:
        return f"[dim]({text})[/dim]"
    return f"[bold]{text}[/bold]" if stop.rule == row.nearest else text


def colored_gain(gain: Decimal | None) -> str:
    if gain is None:
        return ""
    shown = f"{gain:z+.2%}"
    colour = "red" if shown.startswith("-") else "green"
    return f"[{colour}]{shown}[/{colour}]"
