"""Read an account's whole history from the bot's own records, for the verbs about its profit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

from commands.shared.bot_records import last_passes
from commands.shared.light_helpers import clean, did_you_mean
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.calendar import with_stored_sessions
from tradebot.app.wiring import App
from tradebot.model.position import FOREIGN, EntryTerms, Key, Marks, Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trade import OrderRequested, OrderSent, TradeNote, renames
from tradebot.views.trades.history import History
from tradebot.views.trades.trade_row import Choice


def read_history(app: "App") -> "History":
    """Return everything that performance figures are computed from, as of one moment; the broker isn't contacted.

    Raises DamagedBooksError, naming the row, if a row that records money was changed.
    """
    ledger, facts, passes = app.ledger_view, app.existing_facts, last_passes(app.existing_facts)
    ends = () if facts is None else tuple(facts.session_ends(date.min, date.max))
    with _moment(ledger):
        fills, mark, opened_at = ledger.past.fills(), ledger.last_reconcile(), ledger.books_opened_at()
        sent, stops = ledger.past.behind({owned.fill.venue_order_id for owned in fills} - {""})
        marks, notes = ledger.past.marks(), ledger.trade_notes()
        cash, opening_cash, acknowledged = ledger.past.cash_movements(), ledger.opening_cash(), ledger.acknowledged()
    times = (*(cycle.at for cycle in passes), *(owned.fill.at for owned in fills[-1:]), mark.at if mark else None)
    day = with_stored_sessions(app.books, app.day)
    if opened_at is not None:
        # Until the first open, passes belong to a session that was over before the books were opened.
        ends = tuple(end for end in ends if end.session >= day.date_of(opened_at))
    return History(
        account=app.account_tail,
        mode=app.mode_name,
        day=day,
        opened_at=opened_at,
        opening_cash=opening_cash,
        fills=fills,
        cash=cash,
        ends=ends,
        sent=sent,
        kept=_kept_by_position(fills, sent, marks),
        notes=_under_last_names(notes, fills),
        at=max((at for at in (*times, opened_at) if at is not None), default=None),
        marks=_marks(ends, fills),
        acknowledged=acknowledged,
        stops=stops,
        settlement=app.settings.capabilities.settlement,
    )


LISTED = 8
"""How many names are listed if none is close to the typed one."""


def nothing_matches(history: "History", choice: "Choice", universe: Iterable[str], rules: Iterable[str] = ()) -> str:
    """Return why no trade matches a selection, and what there is instead.

    `rules` are the exit rules that closed trades. A symbol of the universe isn't taken for a typo, even if it resembles
    a traded one.
    """
    owners = {(owned.strategy, owned.fill.symbol) for owned in history.fills}
    filters = (
        (choice.symbol, "--symbol", {symbol for _, symbol in owners}),
        (choice.strategy, "--strategy", {strategy for strategy, _ in owners}),
        (choice.reason, "--reason", set(rules)),
    )
    for typed, option, values in filters:
        if typed is not None and values and typed not in values:
            names = sorted(values)
            listed = f"there are {', '.join(names[:LISTED])}{' and others' if len(names) > LISTED else ''}."
            meant = "" if option == "--symbol" and typed in universe else did_you_mean(typed, names)
            return f"No trades match {option} {clean(typed)}: {meant or listed}"
    days = sorted(history.day.date_of(owned.fill.at) for owned in history.fills)
    return f"No trades match. The books have fills from {days[0]} to {days[-1]}." if days else "No trades match."


@contextmanager
def _moment(ledger: "SqliteLedger") -> "Iterator[None]":
    """Make the reads in the block see the same moment of the books.

    If a row has a form that we never write, check all pages of the file, which raises an error for damage. If there is
    none, the error is a bug, and is raised again.
    """
    try:
        with ledger.file.reading():
            ledger.past.check_others()
            yield
    except (ArithmeticError, LookupError, TypeError, ValueError):
        ledger.file.check_pages()
        # All rows are intact, so this is a bug of ours.
        raise


def _kept_by_position(
    fills: "Sequence[OwnedFill]", sent: "Mapping[str, OrderSent]", marks: "Mapping[Key, Marks]"
) -> "dict[Key, EntryTerms]":
    """Return the stored terms of our positions, as `Ledger.kept` does, from data that was already read."""
    entries, by_key = _entries(fills, sent), dict["Key", "EntryTerms"]()
    for key in _position_keys(fills):
        entry, marks_of_position = entries.get(key), marks.get(key)
        if entry or marks_of_position:
            of_entry = entry or EntryTerms()
            by_key[key] = (
                replace(of_entry, best=marks_of_position.best, worst=marks_of_position.worst)
                if marks_of_position
                else of_entry
            )
    return by_key


def _entries(fills: "Sequence[OwnedFill]", sent: "Mapping[str, OrderSent]") -> "dict[Key, EntryTerms]":
    """Return the terms that each position was opened with; an order that replaced another has the first one's."""
    by_key = dict["Key", "EntryTerms"]()
    for owned in fills:
        behind = sent.get(owned.fill.venue_order_id)
        for intent in behind.intents if behind else ():
            if isinstance(intent, OrderRequested) and intent.entry:
                by_key[owned.strategy, owned.fill.symbol, owned.fill.at] = intent.entry
    for rename in renames(fills):
        by_key = {rename.of(key): entry for key, entry in by_key.items()} | by_key
    return by_key


def _position_keys(fills: "Iterable[OwnedFill]") -> "Iterator[Key]":
    """Yield the strategy, symbol and opening time of each position of ours; a renamed one has both symbols."""
    quantity_by_owner: dict[tuple[str, str], Decimal] = {}
    for owned in fills:
        position, change = (owned.strategy, owned.fill.symbol), owned.fill.signed_quantity
        before = quantity_by_owner.get(position, Decimal(0))
        after = quantity_by_owner[position] = before + change
        if owned.strategy != FOREIGN and after and before * after <= 0:
            yield (*position, owned.fill.at)


def _under_last_names(notes: "Mapping[Key, TradeNote]", fills: "Sequence[OwnedFill]") -> "dict[Key, TradeNote]":
    """Return the notes by the positions' last symbols; a note written under the last symbol takes precedence."""
    by_name = dict(notes)
    for rename in renames(fills) if notes else ():
        moved = {rename.of(key): note for key, note in by_name.items() if rename.of(key) != key}
        by_name = moved | {key: note for key, note in by_name.items() if rename.of(key) == key}
    return by_name


def _marks(ends: "Sequence[SessionEnd]", fills: "Sequence[OwnedFill]") -> "dict[str, Decimal]":
    """Return the last known prices, without those from before a split, which are per old share."""
    last = next((end for end in reversed(ends) if end.marked_at and end.marks), None)
    if last is None or last.marked_at is None:
        return {}
    moment = last.marked_at
    restated = {owned.fill.symbol for owned in fills if owned.origin is Origin.ACTIVITY and owned.fill.at > moment}
    return {symbol: price for symbol, price in last.marks.items() if symbol not in restated}


BENCHMARK, SHARES = "SPY", "share"
"""The fund, and the unit of quantities at venues that trade it."""


def no_benchmark_reason(app: "App") -> str:
    """Return why an account has no benchmark, if its venue doesn't trade shares; otherwise an empty text."""
    venue = app.settings.capabilities
    return "" if venue.unit == SHARES else f"{BENCHMARK} isn't compared: {venue.title} doesn't trade it."
