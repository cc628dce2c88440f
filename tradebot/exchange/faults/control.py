"""Arm and clear rules with ordinary commands, so that replaying the log repeats them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tradebot.exchange.commands.command import Answer, Asked, Entry
from tradebot.exchange.faults.book import ARMED, CLEARED, FaultBook
from tradebot.exchange.faults.halts import Halts
from tradebot.exchange.faults.rules import RuleError
from tradebot.exchange.jsontext import encode
from tradebot.exchange.refusal import Refusal, invalid, not_found

PATH = "/exchange/v1/faults"

Emit = Callable[[str, dict[str, Any]], None]


class FaultCommands:
    """Handlers that arm and clear rules; `emit` writes the result into the log."""

    def __init__(self, book: FaultBook, halts: Halts, emit: Emit) -> None:
        self._book = book
        self._halts = halts
        self._emit = emit

    def entries(self) -> list[Entry]:
        return [
            Entry("POST", PATH, self._arm),
            Entry("DELETE", PATH, self._clear_all),
            Entry("DELETE", PATH + "/{name}", self._clear),
        ]

    def _arm(self, asked: Asked) -> Answer:
        try:
            armed = self._book.arm(asked.command.body, asked.engine.now_us)
        except RuleError as error:
            refusal = invalid(str(error))
            raise Refusal(refusal.status, refusal.body | {"hint": error.hint}) from error
        for one in armed:
            self._emit(ARMED, {"rule": one.rule.name, "written": one.rule.written})
        return 200, encode({"armed": [one.to_json() for one in armed]})

    def _clear_all(self, asked: Asked) -> Answer:
        return self._cleared(None)

    def _clear(self, asked: Asked) -> Answer:
        return self._cleared(asked.names["name"])

    def _cleared(self, name: str | None) -> Answer:
        names = self._book.clear(name)
        if name is not None and not names:
            armed = ", ".join(one.rule.name for one in self._book) or "none"
            raise not_found(f"no rule named {name[:64]!r} is armed; armed: {armed}")
        self._halts.forget(names)
        for one in names:
            self._emit(CLEARED, {"rule": one})
        return 200, encode({"cleared": names})


def armed_json(book: FaultBook) -> dict[str, Any]:
    return {"faults": [one.to_json() for one in book]}
