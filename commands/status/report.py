"""Gather the data of `tradebot status` from the bot's own records, without contacting the broker."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from commands.shared.bot_records import age_reference_time, last_passes, load_holdings, opening_of, waiting_approvals
from commands.shared.evidence import evidence_of
from commands.shared.light_helpers import Identity, clean
from commands.shared.notes import unlike_the_broker
from commands.shared.number_format import (
    acts_at,
    color_state,
    duration,
    format_distance,
    gain,
    show_margin,
    sparkline,
    time_left,
    usd,
)
from commands.shared.tables import Screen, Table, explains, has_letters, number, sentence
from commands.shared.times import DAY_MINUTE, for_reader, slot_for_reader, stamp, when, zone
from commands.shared.verb_options import Report, console, identity, opened_to_look
from commands.shared.verb_options import show as show_report
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.state import state_folder
from tradebot.app import sandbox
from tradebot.app.calendar import with_stored_sessions
from tradebot.app.promotion_status import unproven_strategies
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError, one_line
from tradebot.judging.evidence import Halts, HealthEvidence, SessionEvidence, UnreadablePart
from tradebot.judging.judgment import HealthState, Judgment, count_parts, permission, rank_judgments, worst_state
from tradebot.judging.pass_health import judge_passes, unfinished_claims
from tradebot.model.position import FOREIGN
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.model.totals import Totals
from tradebot.model.trading import Mode, Permission, ReconcileMark, Request, mode_name
from tradebot.timetable.sessions import CHAIN
from tradebot.views.holdings import Holding, account_margin
from tradebot.views.status import (
    DayProfit,
    LastPass,
    NextSlot,
    OpenOrder,
    RecordCounts,
    Status,
    day_profit,
    day_return,
    describe_waiting,
    drawdown,
    equity,
    last_pass,
    last_reconcile,
    open_order,
    opening_times,
    quota,
    unended_of,
    unresolved_order,
)
from tradebot.views.trades.pieces import REACH

IN_SANDBOX = {mode_name(Mode.SANDBOX, shadow=shadow) for shadow in (False, True)}
ON_A_PAGE = 24
"""How many characters wide the equity curve is on a web page, so that it fits on a phone."""
NEAREST = 3
"""How many of the positions nearest to liquidation are shown."""
STATE_STYLE = {"ACTIVE": "green", "REDUCE_ONLY": "yellow", "FLATTEN": "red"}


def show(console: "Console", data: "Status", bot_identity: Identity) -> None:
    """Print the screen: bot and folder, permission and state, recent passes, orders and positions."""
    if not explains(console):
        _headline(console, data, bot_identity)
    for draw in sections(data, bot_identity).values():
        draw(console)
    if not explains(console):
        return
    looked_at = data.looked_at
    console.print(
        f"Read {pluralize(looked_at.fills, 'fill')}, {pluralize(looked_at.intents, 'intent')}, "
        f"{pluralize(looked_at.orders, 'working order')} and the last pass of {pluralize(looked_at.passes, 'job')}",
        style="dim",
    )


def sections(data: "Status", bot_identity: Identity) -> "Mapping[str, Callable[[Console], None]]":
    """Return the functions that draw the parts of the screen, by name, in their order on the screen."""
    singular, many = "order with an unknown outcome", "orders with an unknown outcome"
    return {
        "bot": lambda console: _bot(console, data, bot_identity),
        "may": lambda console: _may(console, data),
        "serve": lambda console: _serve(console, data),
        "health": lambda console: _health(console, data),
        "passes": lambda console: _show_passes(console, data),
        "equity": lambda console: _equity(console, data),
        "positions": lambda console: _positions(console, data),
        "orders": lambda console: _working_orders(console, data.orders),
        "unresolved": lambda console: _orders(console, singular, many, data.unresolved),
        "today": lambda console: _show_today(console, data),
    }


def _headline(console: "Console", data: "Status", bot_identity: Identity) -> None:
    """Print in one line what most people want to know: may it trade, what did it earn, which positions, is it well."""
    parts = [f"[{STATE_STYLE[data.trading_state]}]{data.trading_state}[/]"]
    if data.permission.next:
        parts.append("[red]permission closed[/red]")
    if data.today is not None:
        parts.append(f"{gain(data.today.total_usd, ' USD')}{_without(data.today)} on {data.today.day}")
    parts.append(pluralize(sum(row.is_held for row in data.positions), "position"))
    if data.notes:
        parts.append("[red]the broker's differ[/red]")
    if bare := _without_stop(data):
        parts.append(f"[red]{len(bare):,} of them without a stop at the broker[/red]")
    parts.append(f"health {color_state(worst_state(data.health))}")
    console.print(f"[bold]{bot_identity.mode}[/bold], {bot_identity.venue_and_account}: {', '.join(parts)}")


def _without(day: "DayProfit") -> str:
    """Return a note that a day's profit leaves out symbols without a price; empty if it leaves out none."""
    return f" without {pluralize(len(day.unpriced), 'unpriced symbol')}" if day.unpriced else ""


def _without_stop(data: "Status") -> "list[str]":
    """Return the symbols of positions that have no stop at the broker, although the settings require one by now."""
    return [row.symbol for row in data.positions if row.protection and row.protection.lacks_stop and row.is_held]


def _bot(console: "Console", data: "Status", bot_identity: Identity) -> None:
    if explains(console):
        console.print(
            f"[bold]{bot_identity.mode}[/bold], {bot_identity.venue_and_account}, state {escape(data.state_dir)}"
        )
    else:
        console.print(f"  state {escape(data.state_dir)}")
    console.print(f"  last recorded trading time {_when(data.as_of)}; the broker was not queried")
    if bot_identity.mode in IN_SANDBOX:
        served = f"running at {data.exchange_url}" if data.exchange_url else "not running"
        console.print(f"  embedded exchange {served}")


def show_trading_state(console: "Console", data: "Status") -> None:
    """Print the trading state, who set it and why, and why the bot had also halted itself."""
    color = STATE_STYLE[data.trading_state]
    who = f" by {escape(data.trading_who)}" if data.trading_who else ""
    at = f" at {_when(data.trading_at)}" if data.trading_at else ""
    console.print(f"Trading state [{color}]{data.trading_state}[/{color}]{who}{at}: {escape(data.trading_why)}")
    for cause in data.halted_itself:
        console.print(f"  the bot had also halted itself: {escape(cause)}")


def show_closed_permission(console: "Console", data: "Status") -> None:
    """Print why no orders may be sent, and what to do about it."""
    reason = f"{escape(clean(data.permission.found))}. Next: {escape(data.permission.next)}"
    console.print(f"Permission [red]closed[/red]: {reason}")


def _may(console: "Console", data: "Status") -> None:
    show_trading_state(console, data)
    if data.permission.next:
        show_closed_permission(console, data)
    else:
        console.print("Permission open")
    for missing in (*data.without_evidence, *data.not_entering):
        console.print(f"  [yellow]{escape(clean(missing))}[/]")
    books = next(judgment for judgment in data.health if judgment.subject == "books")
    if not books.at:
        console.print(f"Books [yellow]never compared[/yellow] with the broker's. Next: {books.next}")
        return
    ago = f", {books.age_s / 60:.0f} min before the last record" if books.age_s is not None else ""
    since = ", but later readings differ, as shown below" if data.notes and not books.state.is_finding else ""
    console.print(f"Books compared {_when(books.at)}{ago}: {books.found}{since}")


def _serve(console: "Console", data: "Status") -> None:
    """Print whether `serve` runs, since when, and which slots have begun and not ended yet, whoever runs them."""
    # Nothing serves a finished backtest.
    for served in _serve_judgments(data):
        console.print(f"serve {color_state(served.state)}: {escape(clean(served.found))}")
    for each in data.unended:
        what = f"{each.job} {slot_for_reader(each.slot, each.at)}"
        console.print(
            f"  {what} began at {when(each.at)} by {clean(each.by)}, and no end is recorded yet", markup=False
        )


def _serve_judgments(data: "Status") -> list[Judgment]:
    return [judgment for judgment in data.health if judgment.subject == "serve"]


def _health(console: "Console", data: "Status") -> None:
    """Print how many parts are well, and what to do about the others, the worst first."""
    console.print(f"Health {color_state(worst_state(data.health))}: {count_parts(data.health)}")
    findings = [judgment for judgment in rank_judgments(data.health) if judgment not in _serve_judgments(data)]
    for judgment in findings:
        if judgment.state is not HealthState.UNKNOWN:
            line = f"{judgment.subject} {judgment.state}: {clean(judgment.found).rstrip('.')}. Next: {judgment.next}"
            console.print(f"  {line}", markup=False)
    unknown = [judgment.subject for judgment in findings if judgment.state is HealthState.UNKNOWN]
    if unknown:
        console.print(f"  no evidence about {', '.join(unknown)}. Next: tradebot health")
    if data.quota is not None:
        quota = data.quota
        remaining = "" if quota.left_today is None else f" of {quota.daily_limit:,}, {quota.left_today:,} left"
        used = pluralize(quota.used_today or 0, "call")
        console.print(f"Flow quota {used} used today{remaining} (as of {_when(quota.at)})")


def _show_passes(console: "Console", data: "Status") -> None:
    table = Table("job", f"last pass {zone()}", "slot", sentence("did"), f"next {zone()}")
    last = {row.job: row for row in data.passes}
    coming = {row.job: row for row in data.next_slots}
    for job in dict.fromkeys((*last, *coming)):
        done, due = last.get(job), coming.get(job)
        last_pass = (
            (stamp(done.at), slot_for_reader(done.slot or "", done.at), escape(done.did))
            if done
            else ("none yet", "", "")
        )
        table.row(job, *last_pass, stamp(due.at, DAY_MINUTE) if due else "")
    if last or coming:
        console.print(table)


def _equity(console: "Console", data: "Status") -> None:
    equity = data.equity
    if equity is None:
        return
    looks = pluralize(equity.passes, "pass", "passes")
    console.print(f"Equity {equity.last_usd:,.2f} USD at the last of {looks} in session {equity.session}")
    if data.drawdown is not None:
        console.print(f"  {data.drawdown:.2%} below the highest; the bot halts itself at {data.drawdown_halt:.2%}")
    room = console.width - 28 if has_letters(console) else ON_A_PAGE
    line = sparkline(equity.plot, max(8, min(len(equity.plot), room)))
    console.print(f"  {equity.low_usd:,.0f} {line} {equity.high_usd:,.0f}", markup=False)
    show_margin(console, data.margin, NEAREST)


def _show_today(console: "Console", data: "Status") -> None:
    day = data.today
    if day is not None:
        other = f" ({pluralize(day.unknown_fees, 'fee')} not known yet)" if day.unknown_fees else ""
        rest = day.other_usd - (day.funding_usd or 0)
        other += f", {day.funding_usd:+,.2f} funding" if day.funding_usd else ""
        other += f", {rest:+,.2f} dividends, interest and other" if rest else ""
        other += (
            (f", {day.difference_usd:+,.2f} in the broker's equity but not in the books") if day.difference_usd else ""
        )
        unpriced = f"; no price of the day for {', '.join(map(clean, day.unpriced))}" if day.unpriced else ""
        console.print(
            f"Profit of {day.day} {gain(day.total_usd, ' USD')}: {day.realized_usd:+,.2f} realized, "
            f"{day.open_usd:+,.2f} open, {day.fees_usd:+,.2f} fees{other}; "
            f"{pluralize(day.trades_closed, 'trade')} closed{unpriced}"
        )
    elsewhere = data.realized_elsewhere_usd
    others = f", {elsewhere:+,.2f} of it from trades that the bot didn't make" if elsewhere else ""
    console.print(f"Realized profit {data.realized_usd:,.2f} USD{others}")


def _positions(console: "Console", data: "Status") -> None:
    unlike = ", but the broker's differ:" if data.notes else ""
    console.print(f"{pluralize(sum(row.is_held for row in data.positions), 'position')}{unlike}")
    numbers = (number(name) for name in ("quantity", "average", "now", "gain"))
    table = Table("symbol", *numbers, "nearest exit", number("age"), "strategy")
    for row in data.positions:
        gain = "" if row.gain is None else f"{row.gain:z+.2%}"
        age = "" if row.age_s is None else duration(row.age_s)
        prices = usd(row.average_price, row.symbol), usd(row.price, row.symbol)
        table.row(escape(row.symbol), f"{row.quantity:,f}", *prices, gain, nearest_rule(row), age, row.strategy)
    if data.positions:
        console.print(table)
    for line in data.notes:
        console.print(line, markup=False)


def nearest_rule(position: "Holding") -> str:
    """Return the exit rule closest to its price or time, and the distance.

    If someone else closed the position, say so. Return an empty text if no distance is known.
    """
    if position.closed_by_others and not position.is_held:
        return "closed by someone else"
    stop = next((stop for stop in position.stops if stop.rule == position.nearest), None)
    if stop is None:
        return ""
    if stop.left_s is not None:
        return f"{stop.rule} {time_left(stop.left_s)}"
    if stop.distance is None:
        return ""
    away = " away" if stop.distance > 0 else ""
    return f"{stop.rule} {usd(stop.price, position.symbol)}, {format_distance(stop.distance)}{away}"


def _working_orders(console: "Console", orders: "Sequence[OpenOrder]") -> None:
    if explains(console) or not orders:
        _orders(console, "working order", "working orders", orders)
        return
    orders_text = pluralize(len(orders), "working order", "working orders")
    console.print(f"{orders_text}: {count_working_orders(orders)}. All of them: tradebot orders", markup=False)


def count_working_orders(orders: "Sequence[OpenOrder]") -> str:
    """Count stops and orders with only a limit, in words: 8 stops and 2 limit orders."""
    stops = sum(order.stop_price is not None for order in orders)
    counts = (stops, "stop"), (len(orders) - stops, "limit order")
    return " and ".join(pluralize(count, kind) for count, kind in counts if count)


def _orders(console: "Console", singular: str, many: str, orders: "Sequence[OpenOrder]") -> None:
    console.print(pluralize(len(orders), singular, many))
    table = Table("symbol", "side", number("open"), number("price"), "status", "id")
    for order in orders:
        numbers = (f"{order.quantity:,f}", acts_at(order.limit_price, order.stop_price, order.symbol))
        table.row(escape(order.symbol), order.side, *numbers, order.status, escape(order.client_order_id))
    if orders:
        console.print(table)


def _when(at: datetime | None) -> str:
    return when(at) if at else "none yet"


def status_of(app: "App") -> Status:
    """Read the ledger, the evidence, and all recorded passes that are intact.

    Raises OperatorError if the books can't be read.
    """
    evidence, ledger = evidence_of(app), app.ledger_view
    past, facts = evidence.past, None if isinstance(evidence.parts["facts"], UnreadablePart) else app.existing_facts
    halts, mark, totals = _halts(evidence), ledger.last_reconcile(), ledger.totals()
    orders, unresolved = ledger.orders(working=True), ledger.intents(unresolved=True)
    intents, ending = ledger.tallies.counts()[0], ledger.tallies.ending()
    positions = totals.positions.values()
    passes = tuple(_passes(facts, mark))
    as_of = max((p.at for p in passes), default=ledger.books_opened_at())
    recorded, allowed = last_passes(facts), app.permission
    now, recent = (
        (past.now, past.cycles) if isinstance(past, SessionEvidence) else (age_reference_time(app, (as_of,)), ())
    )
    current = past if isinstance(past, SessionEvidence) and not evidence.finished else None
    return Status(
        state_dir=str(app.folder.path),
        as_of=as_of,
        exchange_url=sandbox.server_address(app.folder.exchange),
        trading_state=halts.state.state.value,
        trading_who=halts.state.who,
        trading_why=halts.why,
        trading_at=halts.state.at,
        halted_itself=halts.hidden,
        permission=permission(allowed, evidence.at),
        reconcile=mark,
        health=judge_passes(evidence),
        passes=passes,
        now=now,
        next_slots=_next_slots(current) if current else (),
        quota=quota(recent),
        equity=(recent_equity := equity(recent)),
        drawdown=drawdown(recent_equity, ledger.equity_peak()),
        drawdown_halt=app.settings.halts.drawdown_fraction,
        positions=load_holdings(app, totals, recorded, now),
        orders=tuple(open_order(order, ending=order.venue_id in ending) for order in orders),
        unresolved=tuple(unresolved_order(record) for record in unresolved),
        realized_usd=sum((position.realized_pnl for position in positions), Decimal(0)),
        today=_today(app, facts, totals, as_of),
        looked_at=RecordCounts(totals.count, len(orders), intents, len(passes)),
        margin=account_margin(recorded),
        realized_elsewhere_usd=sum((lot.realized_pnl for lot in positions if lot.strategy == FOREIGN), Decimal(0)),
        without_evidence=unproven_strategies(app),
        not_entering=tuple(_lacking_promotion(app, allowed)),
        unended=tuple(map(unended_of, unfinished_claims(current))) if current else (),
        notes=unlike_the_broker(app, now, recorded),
    )


def _lacking_promotion(app: "App", allowed: Permission) -> Iterator[str]:
    """Yield a sentence for each strategy in use that may not enter before it is promoted."""
    rungs = {name: rung for name, rung in (allowed.climbed or {}).items() if not rung.share}
    for name, rung in {**rungs, **allowed.awaiting_promotion}.items():
        if name in app.settings.strategies.sections():
            yield f"{name} opens no positions ({rung.reason}: {rung.found}). Next: tradebot promote {name}"


def _halts(evidence: HealthEvidence) -> Halts:
    halts: Halts | UnreadablePart = evidence.parts["halts"]
    if isinstance(halts, UnreadablePart):
        raise OperatorError(halts.why, halts.next)
    return halts


def _today(app: "App", facts: "SqliteFacts | None", totals: "Totals", as_of: datetime | None) -> "DayProfit | None":
    ledger = app.ledger_view
    if as_of is None or not ledger.books_opened_at():
        return None
    venue = with_stored_sessions(ledger, app.day)
    day = venue.date_of(as_of)
    since = opening_times(totals, day, venue, ledger.foreign_and_moved_fills())
    fills = ledger.fills_since(min(since.values())) if since else ()
    ends = facts.session_ends(day - REACH, day) if facts is not None else ()
    return day_profit(totals, day, venue, since, fills, ledger.cash_movements(), ends, opening_of(app, day))


def _next_slots(past: SessionEvidence) -> tuple[NextSlot, ...]:
    """Return each job's next slot, in the order they run; empty if no calendar is stored yet."""
    coming = [past.coming[job] for job in CHAIN if job in past.coming]
    return tuple(NextSlot(slot.job, slot.session, slot.name, slot.start) for slot in coming)


def _passes(facts: "SqliteFacts | None", mark: "ReconcileMark | None") -> Iterator[LastPass]:
    if facts is not None:
        for job in (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE):
            for cycle in facts.cycles(job=job, last=1):
                answers = facts.intakes(cycle.at) if job is Job.FETCH_FLOW else ()
                yield last_pass(cycle, answers)
    if mark is not None:
        yield last_reconcile(mark)


EVERY_S = 5.0
MOST_KEYS = 100
ORDER = ("serve", "health", "may", "bot", "today", "positions", "orders", "unresolved", "passes", "equity")
"""The parts of the screen; a small terminal cuts off the last ones."""
QUIT = b"qQ\x03\x04"
"""The keys that end `status --watch`: q, Ctrl-C and Ctrl-D."""


def follow(app: "App") -> None:
    """Draw the status again and again until q or Ctrl-C is pressed; raise OperatorError without a terminal."""
    if not sys.stdout.isatty():
        raise OperatorError("--watch needs a terminal to draw on", "tradebot status")
    alone = Live(console=Screen(), screen=True, auto_refresh=False)
    with suppress(KeyboardInterrupt), _keys() as pressed, alone as live:
        while True:
            live.update(render_status(app), refresh=True)
            if _quits(pressed):
                return


def render_status(app: "App") -> Text:
    """Return the current status in as many lines as the terminal has, or the error if it can't be read."""
    screen = console()
    width, height = screen.size
    room = height - 1
    try:
        with closing(app.twin()) as bot:
            data = status_of(bot)
        draws = sections(data, identity(app))
        parts = [_text(screen, draws[name]) for name in ORDER]
    except TradebotError as failed:
        parts = [Text(one_line(failed), "red")]
    lines = [line for part in parts for line in part.wrap(screen, width)]
    remaining = max(len(lines) - room, 0)
    more = f"{pluralize(remaining, 'more line')}: tradebot status; " if remaining else ""
    read_at = f"{when(datetime.now(UTC))} by this machine's clock"
    foot = Text(f"{more}q quits; {read_at}, every {EVERY_S:.0f} s", "reverse", no_wrap=True, overflow="crop")
    return Text("\n").join([*lines[:room], foot])


def _text(screen: "Console", draw: "Callable[[Console], None]") -> Text:
    with screen.capture() as capture:
        draw(screen)
    return Text.from_ansi(capture.get().removesuffix("\n"))


def _quits(pressed: Callable[[float], bytes]) -> bool:
    """Wait until it is time to draw again; return True at once if a key that quits is pressed."""
    until_s = time.monotonic() + EVERY_S
    while (left_s := until_s - time.monotonic()) > 0:
        if any(key in QUIT for key in pressed(left_s)):
            return True
    return False


def _sleep(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""


@contextmanager
def _keys() -> Iterator[Callable[[float], bytes]]:
    """Yield a function that waits this many seconds for keys, without echoing them or waiting for a line."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read_keys(seconds: float) -> bytes:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        # A terminal that is gone is always ready, and has nothing.
        return (os.read(descriptor, MOST_KEYS) or _sleep(seconds)) if ready else b""

    try:
        tty.setcbreak(descriptor)
        yield read_keys
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


WAYS = (
    ("tradebot demo", "plays a session on the embedded exchange; it needs no account"),
    ("tradebot init", "creates a bot here; with --wizard, it asks a few questions first"),
    ("tradebot backtest --sessions 20", "runs on past or generated days, and stores the result"),
)
MOST_NEEDS = 3


def show_overview(folder: Path) -> None:
    """Print the bot in a folder or, if there is none, how to start."""
    if not state_folder.has_marker(folder) and not (folder / state_folder.LEDGER).exists():
        show_report(Report("status", folder, _render_ways))
        return
    with opened_to_look(str(folder), None) as bot:
        data, bot_identity = status_of(bot), identity(bot)
        waiting = waiting_approvals(bot, data.as_of or bot.stamp_time())
    show_report(Report("status", data, lambda console, _: _render_overview(console, data, bot_identity, waiting)))


def _render_ways(console: Console, folder: object) -> None:
    console.print(f"There is no bot in {folder} yet. Three ways to begin:", markup=False)
    widest = max(len(command) for command, _ in WAYS)
    for command, what in WAYS:
        console.print(f"  {command:<{widest}}  {what}", markup=False, soft_wrap=True)
    console.print("All commands: tradebot --help", markup=False)


def _render_overview(console: Console, data: Status, bot_identity: Identity, waiting: Sequence[Request]) -> None:
    state = f"[{STATE_STYLE[data.trading_state]}]{data.trading_state}[/]"
    as_of = f" as of {when(data.as_of)}" if data.as_of else ""
    console.print(f"[bold]{bot_identity.mode}[/bold], {bot_identity.venue_and_account}: {state}{as_of}")
    for name, line in _overview_lines(data, waiting):
        console.print(f"  {name:<10} {line}")
    console.print("More: tradebot summary, tradebot status, tradebot --help", markup=False)


def _overview_lines(data: Status, waiting: Sequence[Request]) -> Iterator[tuple[str, str]]:
    """Yield what the bot earned, its positions, next jobs and health, and what needs a person, each with a label."""
    day, equity = data.today, data.equity
    if day is not None:
        fraction = day_return(data)
        share = "" if fraction is None else f" ({fraction:+.2%})"
        yield "Profit", f"{gain(day.total_usd, ' USD')}{share}{_without(day)} on {day.day}"
    if equity is not None:
        yield "Equity", f"{equity.last_usd:,.2f} USD"
    orders = pluralize(len(data.orders), "working order", "working orders")
    unlike = " ([red]the broker's differ[/red])" if data.notes else ""
    yield "Open", f"{pluralize(len(data.positions), 'position')}{unlike}, {orders}"
    due = min(data.next_slots, key=lambda slot: slot.at, default=None)
    yield "Next", f"{due.job} at {_at(due.at)}" if due else "no due job is known: tradebot schedule"
    yield "Health", f"{color_state(worst_state(data.health))}: {count_parts(data.health)}"
    needs = [*_needs(data, waiting)]
    for need in needs[:MOST_NEEDS]:
        yield "Needs you", escape(need)
    if len(needs) > MOST_NEEDS:
        yield "", f"and {len(needs) - MOST_NEEDS} more: tradebot audit"
    if not needs:
        yield "Needs you", "nothing"


def _needs(data: Status, waiting: Sequence[Request]) -> Iterator[str]:
    """Yield what needs a person, most urgent first, each with the next command."""
    if waiting:
        yield f"{for_reader(clean(describe_waiting(waiting))).rstrip('.')}. Next: tradebot approvals"
    if bare := _without_stop(data):
        yield f"no stop at the broker for {', '.join(map(clean, bare))}. Next: tradebot evaluate-exits --force-slot"
    if data.permission.next:
        yield f"{clean(data.permission.found)}. Next: {data.permission.next}"
    findings = rank_judgments(data.health)
    for each in findings:
        if each.state is not HealthState.UNKNOWN:
            yield f"{each.subject}: {clean(each.found).rstrip('.')}. Next: {each.next}"
    if unknown := [each for each in findings if each.state is HealthState.UNKNOWN]:
        yield f"no evidence about {pluralize(len(unknown), 'part')}. Next: tradebot health"


def _at(moment: datetime) -> str:
    return f"{stamp(moment, DAY_MINUTE)} {zone()}"
