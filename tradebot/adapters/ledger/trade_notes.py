"""What people wrote about trades: rows that are appended and journaled, never changed; the last one counts."""

import json
from collections.abc import Callable, Mapping, Sequence

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.model.position import Key
from tradebot.model.trade_note import TradeNote

_NOTES = "SELECT strategy, symbol, opened_at, tags, note, who, at FROM trade_notes WHERE account = ?"
NOTES = f"{_NOTES} ORDER BY at, sequence"
"""Select notes by time: a rebuild may append an earlier note after a later one."""
LAST = f"{_NOTES} AND strategy = ? AND symbol = ? AND opened_at = ? ORDER BY at DESC, sequence DESC LIMIT 1"


class TradeNotes:
    """The tags and notes of one account's trades."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def note_trade(self, note: TradeNote) -> None:
        """Write the tags and the note of a trade, which replace those written before."""
        self.change_note(note.trade, lambda _: note)

    def change_note(self, trade: Key, change: Callable[[TradeNote | None], TradeNote]) -> TradeNote:
        """Write what `change` makes of what stands with a trade by now, and return it; nobody can write in between."""
        with self._file.write():
            found = self._file.row(LAST, (trade[0], trade[1], time_text(trade[2])))
            note = change(_of_row(found) if found else None)
            self._append(note)
        return note

    def _append(self, note: TradeNote) -> None:
        strategy, symbol, opened_at = note.trade
        opened, tags = time_text(opened_at), list(note.tags)
        words = {"strategy": strategy, "symbol": symbol, "opened_at": opened, "tags": tags, "note": note.note}
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
        notes = map(_of_row, self._file.streamed(NOTES))
        return {note.trade: note for note in notes}


def _of_row(row: Sequence[str]) -> TradeNote:
    strategy, symbol, opened_at, tags, note, who, at = row
    return TradeNote((strategy, symbol, parse_time(opened_at)), tuple(json.loads(tags)), note, who, parse_time(at))
