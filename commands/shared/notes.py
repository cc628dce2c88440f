"""Warnings shown with positions and exits, one line each."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from commands.shared.light_helpers import clean
from tradebot.app.baseline import differences
from tradebot.app.wiring import App
from tradebot.gates.permission import describe_difference, is_about_exits
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import TradingState, TradingStateRecord, hidden_halts
from tradebot.reconciliation.read_books import READ_WITHIN, fills_awaited, read_books
from tradebot.reconciliation.unknown_orders import forgotten_symbols


def notes(app: "App", unlisted: "Sequence[str]") -> tuple[str, ...]:
    """Return a line, with a command, for each position that exits ignore or handle differently than configured.

    `unlisted` are the symbols that `left_by_earlier_orders` returns.
    """
    return (*map(clean, _rules(app)), *_unwatched_notes(unlisted))


def unlike_the_broker(app: "App", now: "datetime | None", passes: "Sequence[CycleRecord]") -> tuple[str, ...]:
    """Return a line for each known difference between the books and the broker."""
    return (*map(clean, not_in_books(app, now)), *map(clean, _contradiction_notes(app, passes)))


def _rules(app: "App") -> "Iterator[str]":
    unread, accepted = app.loaded.unread, app.accepted_configuration
    if unread is not None:
        yield f"The accepted configuration is used instead, and no entries are sent: {unread.message}. {unread.hint}"
    changes = differences(app.settings, accepted, app.loaded.origins) if accepted else ()
    changed = [describe_difference(difference) for difference in changes if is_about_exits(difference)]
    if changed:
        yield f"Exits follow the accepted rules: {'; '.join(changed)}. Next: tradebot config accept"


def left_by_earlier_orders(app: "App", now: "datetime | None") -> tuple[str, ...]:
    """Return the symbols in which the bot's own orders, which these books don't contain, left shares."""
    if now is None:
        return ()
    # Imported here: `status` and `health` explain a trading state without comparing books.

    return tuple(forgotten_symbols(read_books(app.ledger_view, now, app.day)))


def not_in_books(app: "App", now: "datetime | None") -> "Iterator[str]":
    """Yield a line for each order that has more fills than the books contain."""
    if now is None:
        return

    for fill in fills_awaited(app.ledger_view, now, app.day, READ_WITHIN):
        yield (
            f"Not in the books yet: {fill.words}. The broker's list of fills doesn't have it. Next: tradebot reconcile"
        )


def _contradiction_notes(app: "App", passes: "Sequence[CycleRecord]") -> "Iterator[str]":
    """Yield the positions on which the last exit pass saw a contradiction, unless they were compared since."""
    read = [cycle for cycle in passes if cycle.job is Job.EVALUATE_EXITS and cycle.equity is not None]
    last, mark = max(read, key=lambda note: note.at, default=None), app.ledger_view.last_reconcile()
    if last is not None and not (mark and mark.at >= last.at):
        for difference in last.differing:
            yield f"{difference.words}, and nothing explains the difference. Next: tradebot reconcile"


def _unwatched_notes(unlisted: "Sequence[str]") -> "Iterator[str]":
    if unlisted:
        names = clean(", ".join(unlisted))
        yield f"No exit rule covers the shares that earlier orders of the bot left in {names}. Next: tradebot reconcile"


def why_in_state(state: "TradingStateRecord") -> str:
    """Return why a trading state was set.

    After an override, add which causes a person accepted, and when.
    """
    accepted = state.override
    if accepted is None:
        return clean(state.why)
    causes = ", ".join(sorted(accepted.causes))
    return clean(f"{state.why} ({causes} accepted, as of {accepted.at:%Y-%m-%d %H:%M:%S} UTC)")


def cause_of_halt(app: "App", at: "datetime") -> "Reason | None":
    """Return why entries are halted: the latest reason why the bot halted itself, outdated books, or None."""
    state = app.ledger_view.trading_state()
    if state.state is TradingState.ACTIVE:
        return None
    causes = [cause for halt in (*hidden_halts(app.ledger_view.halts(), state), state) for cause in sorted(halt.causes)]
    if causes:
        return causes[-1]
    return Reason.BOOKS_OLD if left_by_earlier_orders(app, at) else None
