"""`tradebot flatten` and `cancel`: send what a person requests through the same code as every other order."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from commands.shared.light_helpers import clean
from commands.shared.number_format import acts_at
from commands.shared.pass_recording import run_request
from commands.shared.pass_reports import PassData, pass_data, pass_exit_code, positions_to_close, render_rows
from commands.shared.skipped_passes import render_not_run
from commands.shared.times import slot_for_reader, when
from commands.shared.universe import symbol_named
from commands.shared.verb_options import Report, confirm_for
from tradebot.adapters.state.service_token import load_token
from tradebot.adapters.state.state_folder import WEB_TOKEN
from tradebot.adapters.state.subprocess_runner import Confirmation, ConfirmedAt, take_confirmation
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.model.candidate import Purpose
from tradebot.model.order import OrderStatus
from tradebot.model.resting_orders import is_protection
from tradebot.model.sentences import pluralize
from tradebot.model.trading import Mode
from tradebot.reconciliation.read_books import fills_awaited

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.intent import Intent, IntentRecord
    from tradebot.model.order import Order
    from tradebot.reconciliation.new_fills import MissingFill


ALL = "ALL"
NOT_SENT_ON_PURPOSE = frozenset({"DRY_RUN", "SHADOW", "EXIT_WORKING"})
NO_STOP = "NO-STOP"
"""What a person types to cancel an order that protects a position."""
UNLIKE_THE_BROKER = frozenset({"POSITION_GONE", "POSITION_UNPROVEN"})
"""Reasons of positions that stay open in the books though the broker doesn't show them; closing again wouldn't help."""
LOOK_THERE = "Next: check the position at the broker, and close it there if it still exists. Then tradebot reconcile"


def run(app: "App", symbol: str | None, *, by: str, confirmed: str | None = None, dry_run: bool = False) -> Report:
    """Cancel the bot's working orders and close its position in one symbol, or in all symbols if None.

    Exit 0 if each position is closed or has a working exit, 3 if permission is closed, and 5 if one has no exit. Raises
    OperatorError: exit 2 for a symbol without a position, or without a confirmation.
    """
    symbol = None if symbol is None else symbol_named(app.driver, symbol)
    named = describe_closing(app, symbol)
    if named and not dry_run:
        what, command = f"Closing {', '.join(named)}", f"tradebot flatten {symbol or '--all'}"
        _confirm(app, confirmed, what=what, command=command, expected=symbol or ALL)
    with app.exit_lock("flatten"):
        named_symbols = None if symbol is None else frozenset({symbol})
        data = pass_data(app, run_request(app, "flatten", by, symbols=named_symbols, dry_run=dry_run))
    code, again = _exit_code(data), f"tradebot flatten {symbol or '--all'}"
    remaining = fills_left_open(app, data, symbol)
    if remaining and not code:
        code = ExitCode.UNAVAILABLE
    closed = _closes_unlisted(app)
    return Report("flatten", data, lambda console, _: _render(console, data, again, remaining, closed), code)


def fills_left_open(app: "App", data: "PassData", symbol: str | None = None) -> "list[MissingFill]":
    """Return fills of the bot's orders that the books lack, if this pass didn't try to close their symbols.

    Only the fills of `symbol` are returned, unless it is None.
    """
    tried = {row.symbol for row in data.rows}
    return [fill for fill in _lacking(app, symbol) if fill.order.symbol not in tried]


class CancelableOrder(NamedTuple):
    """One of the bot's working orders, its kind, and the word that confirms its cancellation."""

    order: "Order"
    kind: str
    word: str

    @property
    def id(self) -> str:
        return self.order.client_order_id

    @property
    def description(self) -> str:
        """Return what the order does: sell 10 AAPL at 190.00 and its stop (protects the position)."""
        order, shown = self.order, clean(self.order.symbol)
        at = acts_at(order.limit_price, order.stop_price, order.symbol)
        what = f"{order.side} {order.open_quantity:,f} {shown} at {at}"
        pair = " and its stop" if order.leads_pair else ""
        return f"{what}{pair} ({'protects the position' if self.word == NO_STOP else self.kind})"


def own_working_orders(app: "App") -> list[CancelableOrder]:
    """Return the bot's working orders according to the books."""
    working = app.ledger_view.orders(working=True)
    ours = app.ledger_view.recorded_intents({order.client_order_id for order in working})
    rows = []
    for order in working:
        if record := ours.get(order.client_order_id):
            kind = "entry" if record.intent.purpose is Purpose.OPEN else "exit"
            rows.append(CancelableOrder(order, kind, NO_STOP if is_protection(order, record) else order.symbol))
    return rows


def order_to_cancel(app: "App", name: str) -> CancelableOrder:
    """Return the working order of this id, or the only one on this symbol; raise OperatorError if there is none."""
    rows = own_working_orders(app)
    named = [row for row in rows if row.id == name] or [row for row in rows if row.order.symbol == name.upper()]
    if len(named) == 1:
        return named[0]
    if named:
        choices = "; ".join(f"{row.id}: {row.description}" for row in named)
        raise OperatorError(
            f"the bot has {len(named)} working orders in {word(name)}: {choices}", f"tradebot cancel {named[0].id}"
        )
    raise OperatorError(f"no working order of the bot is called {word(name)}", "tradebot orders --json lists their ids")


def run_cancel(app: "App", name: str, *, by: str, confirmed: str | None = None, dry_run: bool = False) -> Report:
    """Cancel one of the bot's working orders.

    Exit 0 if the cancel was accepted or the order had already ended, 3 if this verb may not trade now, 5 if the order
    may still fill. Raise OperatorError (exit 2) if no such order is working, or if the confirmation is missing.
    """
    chosen = order_to_cancel(app, name)
    if not dry_run:
        what, command = f"Canceling {chosen.description}", f"tradebot cancel {chosen.id}"
        _confirm(app, confirmed, what=what, command=command, expected=chosen.word)
    with app.exit_lock("cancel"):
        data = pass_data(app, run_request(app, "cancel", by, order=chosen.id, dry_run=dry_run))
    now = next((order for order in app.ledger_view.orders() if order.client_order_id == chosen.id), chosen.order)
    is_over = not data.not_run and not data.rows and (now.status.terminal or now.status is OrderStatus.PENDING_CANCEL)
    code = ExitCode.REFUSED if pass_exit_code(data) else ExitCode.DONE if is_over else _cancel_code(data)
    return Report("cancel", data, lambda console, _: _render_cancel(console, data, chosen, now), code)


def _cancel_code(data: "PassData") -> ExitCode:
    is_done = bool(data.rows) and all(row.reason in (None, *NOT_SENT_ON_PURPOSE) for row in data.rows)
    return ExitCode.DONE if is_done and not data.not_run else ExitCode.UNAVAILABLE


def _render_cancel(console: "Console", data: "PassData", chosen: CancelableOrder, now: "Order") -> None:
    if data.not_run:
        render_not_run(console, data.not_run)
        return
    console.print(f"Canceling {chosen.description}, at {when(data.at)}", markup=False)
    if data.rows:
        render_rows(console, data)
    else:
        filled = f"{now.filled_quantity:,f} of {now.quantity or now.filled_quantity:,f} filled"
        console.print(f"Nothing to cancel: the broker reports the order as {now.status}, {filled}.", markup=False)
    if _cancel_code(data) and data.rows:
        console.print(f"It may still fill. Next: tradebot reconcile, then tradebot cancel {chosen.id}", markup=False)
    elif chosen.word == NO_STOP and data.orders:
        console.print("If the settings require a stop, the next exit pass places one again. Next: tradebot positions")
    else:
        console.print("A later pass may send another order. Next: tradebot orders")


def _confirm(app: "App", confirmed: str | None, *, what: str, command: str, expected: str) -> None:
    """Return once a person has typed the expected word: at a terminal, by --confirm, on a page or in the chat.

    Raises OperatorError: exit 2 if nothing was typed, 3 if it was a different word or may not be confirmed from there.
    """
    confirmation = take_confirmation()
    if confirmation is None:
        confirm_for(app, confirmed, what=what, command=command, word=expected)
        return
    _require_permitted(app, confirmation, what, command)
    if confirmation.typed != expected:
        raise OperatorError(
            f"{what} was not confirmed: you typed {word(confirmation.typed)} instead of {expected}",
            f"type {expected} to confirm",
            code=ExitCode.REFUSED,
        )


def _require_permitted(app: "App", confirmation: Confirmation, what: str, command: str) -> None:
    """Raise OperatorError if the settings don't allow closing from the page or the chat, or if real money needs the
    pages' token and it is missing or wrong.
    """
    is_page = confirmation.source is ConfirmedAt.PAGE
    setting, permitted = ("web", app.settings.web) if is_page else ("chat", app.settings.chat)
    if not permitted.may_close:
        message = f"{setting}.may_close is false, so the {'web pages' if is_page else 'chat'} can't close anything"
        raise OperatorError(message, f"on the bot's machine: {command}", code=ExitCode.REFUSED)
    if app.mode is not Mode.LIVE:
        return
    token = load_token(app.folder.path, WEB_TOKEN) if is_page else None
    if token is None or confirmation.token is None or not token.fits(confirmation.token):
        needed = "the token of the web pages, typed again" if is_page else "a person at a terminal or the web pages"
        raise OperatorError(f"{what} with real money needs {needed}", command, code=ExitCode.REFUSED)


def _lacking(app: "App", symbol: str | None) -> "list[MissingFill]":
    """Return our orders' fills in a symbol, or in all, that the books lack, unless others closed the shares."""
    missing_fills, remaining = _filled_beyond_books(app)
    return [gap for gap in missing_fills if symbol in (None, gap.order.symbol) and remaining[gap.order.symbol]]


def _closes_unlisted(app: "App") -> "dict[str, MissingFill]":
    """Return, by symbol, the last order that closed a position although no list of fills shows that yet."""
    missing_fills, remaining = _filled_beyond_books(app)
    return {fill.order.symbol: fill for fill in missing_fills if not remaining[fill.order.symbol]}


def _filled_beyond_books(app: "App") -> "tuple[Sequence[MissingFill], dict[str, Decimal]]":
    """Return our orders' fills that the books lack, and the position in each symbol once those fills are included.

    The positions are only computed if there are such fills.
    """
    missing_fills = fills_awaited(app.ledger_view, app.now(), app.day)
    remaining = dict(app.ledger_view.totals().own_quantities()) if missing_fills else {}
    for fill in missing_fills:
        remaining[fill.order.symbol] = remaining.get(fill.order.symbol, Decimal(0)) + fill.signed_quantity
    return missing_fills, remaining


def describe_closing(app: "App", symbol: str | None) -> list[str]:
    ledger = app.ledger_view
    positions, working = ledger.totals().own_positions(), ledger.orders(working=True)
    ours = ledger.recorded_intents({order.client_order_id for order in working})
    orders = [order for order in working if order.client_order_id in ours]
    unsure = {record.intent.instrument.symbol for record in ledger.intents(unresolved=True)}
    lacking = _lacking(app, None)
    symbols = (
        {p.symbol for p in positions} | {order.symbol for order in (*orders, *(o.order for o in lacking))} | unsure
    )
    if symbol is not None and symbol not in symbols:
        raise OperatorError(
            f"the bot has no position and no order in {word(symbol)}",
            f"it has {', '.join(sorted(symbols)) or 'none at all'}; to let the bot close a position that it didn't "
            f"open, first run tradebot adopt {word(symbol)} --manage",
        )
    closing = [p for p in positions if symbol in (None, p.symbol)]
    several = len({p.strategy for p in closing}) > 1
    words = [f"{p.quantity:f} {p.symbol}{f' of {p.strategy}' if several else ''}" for p in closing]
    words += [fill.words for fill in lacking if symbol in (None, fill.order.symbol)]
    words += orders_named([(o, ours[o.client_order_id]) for o in orders if symbol in (None, o.symbol)])
    return words + [
        f"anything that an order with an unknown outcome may have left in {name}"
        for name in sorted(unsure)
        if symbol in (None, name)
    ]


def orders_named(orders: "Iterable[tuple[Order, IntentRecord]]") -> list[str]:
    """Count working orders by symbol and kind, in words: 1 stop and 2 targets on PF_XBTUSD."""
    kinds = defaultdict[str, Counter[str]](Counter)
    for order, record in orders:
        kinds[order.symbol][_kind(order, record.intent)] += 1
    return [
        f"{' and '.join(pluralize(count, kind) for kind, count in sorted(of_one.items()))} on {symbol}"
        for symbol, of_one in sorted(kinds.items())
    ]


def _kind(order: "Order", intent: "Intent") -> str:
    if order.leads_pair or intent.is_target:
        return "target"
    return "stop" if intent.rests or order.stop_price is not None else f"{order.side} order"


def _exit_code(data: "PassData") -> ExitCode:
    if pass_exit_code(data):
        return ExitCode.REFUSED
    return ExitCode.UNAVAILABLE if data.not_run or _without_exit(data) else ExitCode.DONE


def _without_exit(data: "PassData") -> list[str]:
    return sorted({row.symbol for row in positions_to_close(data.rows) if row.reason not in NOT_SENT_ON_PURPOSE})


def _render(
    console: "Console",
    data: "PassData",
    again: str,
    remaining: "Sequence[MissingFill]",
    closed: "Mapping[str, MissingFill]",
) -> None:
    if data.not_run:
        render_not_run(console, data.not_run)
        return
    for position in remaining:
        console.print(f"Not closed: {position.words}. The broker's positions don't show it. {LOOK_THERE}", markup=False)
    if not data.rows:
        if not remaining:
            console.print("The bot has no positions, so there is nothing to close.")
        return
    console.print(f"Closing on request at {when(data.at)}, slot {slot_for_reader(data.slot, data.at)}")
    render_rows(console, data)
    unlike = sorted({row.symbol for row in positions_to_close(data.rows) if row.reason in UNLIKE_THE_BROKER})
    for symbol in (symbol for symbol in unlike if symbol in closed):
        text = f"Closed already: {closed[symbol].words}, as the broker's answer about the order shows"
        console.print(f"{text}. The broker's lists don't show that yet. Next: tradebot reconcile", markup=False)
    for symbol in (symbol for symbol in unlike if symbol not in closed):
        shown = "The broker's positions differ from the books, so an order could open a position"
        console.print(f"Not closed: {symbol}. {shown}. {LOOK_THERE}", markup=False)
    if without := [symbol for symbol in _without_exit(data) if symbol not in unlike]:
        console.print(f"No exit is working for {', '.join(without)}. Next: tradebot orders, then {again}")
    elif data.orders and not unlike:
        console.print("A later entry may open the position again; tradebot halt prevents that. Next: tradebot orders")
