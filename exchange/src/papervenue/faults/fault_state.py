"""Hold the faults of one exchange: its rules, their effects on the engine, and delivery of commands under them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from papervenue.commands.command import Answer, Asked, Command, Entry
from papervenue.engine.engine import Engine
from papervenue.events import Emit, Event
from papervenue.faults.armed_rules import ARMED, CLEARED, NOTES, FaultBook, Note
from papervenue.faults.effects import CarryOut, Halts, deliver_command, effects_in
from papervenue.faults.rules import RuleError
from papervenue.jsontext import encode
from papervenue.refusal import Refusal, invalid, not_found

PATH = "/exchange/v1/faults"


class Faults:
    """The fault state of an exchange.

    `note` writes decisions made outside the engine into the log; `carry_out` runs a command.
    """

    def __init__(self, engine: Engine, note: Note, emit: Emit, carry_out: CarryOut) -> None:
        self.book = FaultBook(engine.market.calendar, note)
        self.halts = Halts(self.book, engine)
        engine.halted = self.halts
        self._engine = engine
        self._emit = emit
        self._carry_out = carry_out
        engine.agenda.learn(arrive=lambda _, command: carry_out(command))

    def entries(self) -> list[Entry]:
        """Return the handlers of the commands that arm and clear rules."""
        return [
            Entry("POST", PATH, self._arm),
            Entry("DELETE", PATH, self._clear),
            Entry("DELETE", PATH + "/{name}", self._clear),
        ]

    def _arm(self, asked: Asked) -> Answer:
        try:
            armed = self.book.arm(asked.command.body, asked.engine.now_us)
        except RuleError as error:
            refusal = invalid(str(error))
            raise Refusal(refusal.status, refusal.body | {"hint": error.hint}) from error
        for one in armed:
            self._line(ARMED, {"rule": one.rule.name, "written": one.rule.written})
        return 200, encode({"armed": [one.to_json() for one in armed]})

    def _clear(self, asked: Asked) -> Answer:
        name = asked.names.get("name")
        names = self.book.clear(name)
        if name is not None and not names:
            armed = ", ".join(one.rule.name for one in self.book) or "none"
            raise not_found(f"no rule named {name[:64]!r} is armed; armed: {armed}")
        self.halts.forget(names)
        for one in names:
            self._line(CLEARED, {"rule": one})
        return 200, encode({"cleared": names})

    def apply_note(self, event: Mapping[str, Any]) -> None:
        """Apply a note from a replayed log, ignoring notes of other parts of the exchange."""
        if event["event"] in NOTES:
            self.book.restore(event)

    def deliver(self, command: Command) -> Answer:
        if not command.effects:
            return self._carry_out(command)
        self.halts.take(effects_in(command))
        return deliver_command(command, self._carry_out, self._later)

    def _later(self, late_us: int, command: Command) -> None:
        self._engine.agenda.note(self._engine.now_us + late_us, "arrive", command)

    def _line(self, name: str, fields: dict[str, Any]) -> None:
        self._emit(Event(self._engine.now_us, name, fields))
