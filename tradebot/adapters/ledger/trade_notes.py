"""What people wrote about trades: rows that are appended and journaled, never changed; the last one counts."""

import json
from collections.abc import Mapping

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.model.position import Key
from tradebot.model.trade_note import TradeNote

NOTES = """SELECT strategy, symbol, opened_at, tags, note, who, at FROM trade_notes
    WHERE account = ? ORDER BY at, sequence"""
"""Select notes by time: a rebuild may append an earlier note after a later one."""


class TradeNotes:
    """The tags and notes of one account's trades."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def note_trade(self, note: TradeNote) -> None:
        """Write the tags and the note of a trade, which replace those written before."""
        strategy, symbol, opened_at = note.trade
        opened, tags = time_text(opened_at), list(note.tags)
        words = {"strategy": strategy, "symbol": symbol, "opened_at": opened, "tags": tags, "note": note.note}
        with self._file.write():
            self._file.note("trade_noted", {**words, "who": note.who}, note.at)
            self._file.seal()
            self._file.execute(
                "INSERT INTO trade_notes (account, sequence, strategy, symbol, opened_at, tags, note, who, at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
                " FROM trade_notes WHERE account = ?1",
                (
                    self._file.account_number,
                    strategy,
                    symbol,
                    opened,
                    json_text(tags),
                    note.note,
                    note.who,
                    time_text(note.at),
                ),
            )

    def trade_notes(self) -> Mapping[Key, TradeNote]:
        """Return the tags and the note that each trade has now, by strategy, symbol and opening time."""
        found = dict[Key, TradeNote]()
        for strategy, symbol, opened_at, tags, note, who, at in self._file.streamed(NOTES):
            key = strategy, symbol, parse_time(opened_at)
            found[key] = TradeNote(key, tuple(json.loads(tags)), note, who, parse_time(at))
        return found
