"""What people wrote about trades: rows that are appended and journaled, never changed; the last one counts."""

from collections.abc import Callable, Mapping
from operator import attrgetter

from tradebot.adapters.ledger.rows import note_words
from tradebot.adapters.ledger.tables import Tables
from tradebot.model.position import Key
from tradebot.model.trade_note import TradeNote


class TradeNotes:
    """The tags and notes of one account's trades."""

    tables: Tables

    def note_trade(self, note: TradeNote) -> None:
        self.change_note(note.trade, lambda _: note)

    def change_note(self, trade: Key, change: Callable[[TradeNote | None], TradeNote]) -> TradeNote:
        books = self.tables.books
        with books.write():
            note = change(self.trade_notes().get(trade))
            books.note("trade_noted", note_words(note), note.at)
            books.seal()
            self.tables.notes.add(note)
        return note

    def trade_notes(self) -> Mapping[Key, TradeNote]:
        # By time: a rebuild may append an earlier note after a later one.
        notes = sorted(self.tables.notes.after(0).values(), key=attrgetter("at"))
        return {note.trade: note for note in notes}
