"""The faults of one exchange: its rules, their effects on the engine, and the faulty delivery of commands.

A script's decision about a command is part of the command's line in the log, so a replay repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from papervenue.commands.command import Answer, Command, CommandArguments, Entry
from papervenue.engine.engine import Engine
from papervenue.events import Emit, Event
from papervenue.faults.armed_rules import ARMED, CLEARED, NOTES, ArmedRules, ArmedRuleState, Note, RuleFiring
from papervenue.faults.kinds import Facts
from papervenue.faults.rules import RuleError
from papervenue.jsontext import encode
from papervenue.refusal import Refusal, invalid, not_found

LATE, TWICE, HALT, FATE, ACKNOWLEDGED, POLICY = "late_us", "twice", "halt", "fate", "acknowledged", "policy"

AS_OF = "as_of_us"

_FATES = {
    "refused": "refuse",
    "reject_after_acceptance": "reject",
    "partial_then_cancel": "partial_then_cancel",
    "fill_during_cancel": "fill_on_cancel",
    "corrected_execution": "correct",
}

"""What the engine does to an order or to a request to change one, by fault."""

_POLICIES = {
    "class_refused": "refuses_class",
    "exits_told_late": "tells_after_us",
    "legs_left_out": "leaves_legs_out",
    "legs_shown_held": "holds_legs",
    "marketable_exit_refused": "refuses_marketable",
    "replace_needs_shares": "counts_own_shares",
    "replace_starts_over": "starts_over",
    "shares_freed_late": "frees_after_us",
}

"""How the venue treats a request, by fault: a field of its policy, which gets the fault's value if it has one."""

_ON_ITS_WAY = (202, b"")

CarryOut = Callable[[Command], Answer]

Later = Callable[[int, Command], None]

"""Takes a delay in microseconds and the command to deliver after it."""


def effects_of(firings: Iterable[RuleFiring], facts: Facts, now_us: int) -> str:
    """Return what the firing rules do to a command, as the log stores it; empty if they do nothing."""
    effects_found = [effect for firing in firings for effect in _effects(firing, facts, now_us)]
    return encode(effects_found).decode() if effects_found else ""


def _effects(firing: RuleFiring, facts: Facts, now_us: int) -> list[dict[str, Any]]:
    name, fault, settings = firing.rule.name, firing.rule.fault, firing.rule.settings
    if fault == "late_arrival":
        return [{LATE: settings["value"]}]
    if fault == "late_acknowledgement":
        return [{ACKNOWLEDGED: [settings["value"], settings["status"]]}]
    if fault == "delivered_twice":
        return [{TWICE: settings["answer"]}]
    if fault == "halt_symbol":
        until_us = None if settings["value"] is None else now_us + settings["value"]
        return [{HALT: symbol, "rule": name, "until_us": until_us} for symbol in facts.symbols]
    if fault == "stale_flow":
        age_us = settings["value"]
        return [{AS_OF: firing.since_us if age_us is None else now_us - age_us}]
    if fault in _POLICIES:
        return [{POLICY: {_POLICIES[fault]: settings.get("value", True)}}]
    return [{FATE: _FATES[fault]}] if fault in _FATES else []


def deliver_command(command: Command, carry_out: CarryOut, later: Later) -> Answer:
    """Deliver a command once, twice, or late, as its effects say. The response to a late command is discarded."""
    effects = effects_in(command)
    if any(LATE in effect for effect in effects):
        later(late_us(command.effects), command)
        return _ON_ITS_WAY
    first = carry_out(command)
    choice = next((effect[TWICE] for effect in effects if TWICE in effect), None)
    if choice is None:
        return first
    second = carry_out(command)
    return first if choice == "first" else second


def effects_in(command: Command) -> list[Mapping[str, Any]]:
    """Return the effects in a command's log line."""
    effects_found: list[Mapping[str, Any]] = json.loads(command.effects or "[]")
    return effects_found


def late_us(effects: str) -> int:
    """Return by how many microseconds a command is delayed on its way; 0 if it arrives at once."""
    return sum(effect.get(LATE, 0) for effect in json.loads(effects or "[]"))


def shown_us(effects: str, now_us: int) -> int:
    """Return the engine time whose data a read shows: the earliest one in its effects, or now if there is none."""
    return min((effect[AS_OF] for effect in json.loads(effects or "[]") if AS_OF in effect), default=now_us)


class Halts(Container[str]):
    """The symbols halted now. Only rules, commands and engine time affect them, so a replay halts the same ones."""

    def __init__(self, book: ArmedRules, engine: Engine) -> None:
        self._book = book
        self._engine = engine
        self._fired: dict[str, dict[str, int | None]] = {}

    def __contains__(self, symbol: object) -> bool:
        if not len(self._book):
            return False
        now_us = self._engine.now_us
        return any(self._holds(armed, str(symbol), now_us) for armed in self._book.in_force("halt_symbol", now_us))

    def take(self, effects: Iterable[Mapping[str, Any]]) -> None:
        for effect in effects:
            if HALT in effect:
                self._fired.setdefault(effect["rule"], {})[effect[HALT]] = effect["until_us"]

    def forget(self, rules: Iterable[str]) -> None:
        for rule in rules:
            self._fired.pop(rule, None)

    def _holds(self, armed: ArmedRuleState, symbol: str, now_us: int) -> bool:
        rule = armed.rule
        if rule.when.request:
            fired = self._fired.get(rule.name, {})
            until_us = fired.get(symbol)
            return symbol in fired and (until_us is None or now_us < until_us)
        lasts_us = rule.settings["value"]
        over = lasts_us is not None and now_us >= self._book.began(armed, now_us) + lasts_us
        return not over and any(fnmatchcase(symbol, pattern) for pattern in rule.when.symbol or ("*",))


PATH = "/exchange/v1/faults"


class Faults:
    """The fault state of an exchange.

    `note` writes decisions made outside the engine into the log; `carry_out` runs a command.
    """

    def __init__(self, engine: Engine, note: Note, emit: Emit, carry_out: CarryOut) -> None:
        self.book = ArmedRules(engine.market.calendar, note)
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

    def _arm(self, command: CommandArguments) -> Answer:
        try:
            armed = self.book.arm(command.command.body, command.engine.now_us)
        except RuleError as error:
            refusal = invalid(str(error))
            raise Refusal(refusal.status, refusal.body | {"hint": error.hint}) from error
        for rule in armed:
            self._line(ARMED, {"rule": rule.rule.name, "written": rule.rule.written})
        return 200, encode({"armed": [rule.to_json() for rule in armed]})

    def _clear(self, command: CommandArguments) -> Answer:
        name = command.names.get("name")
        names = self.book.clear(name)
        if name is not None and not names:
            armed = ", ".join(armed.rule.name for armed in self.book) or "none"
            raise not_found(f"no rule named {name[:64]!r} is armed; armed: {armed}")
        self.halts.forget(names)
        for rule in names:
            self._line(CLEARED, {"rule": rule})
        return 200, encode({"cleared": names})

    def apply_note(self, event: Mapping[str, Any]) -> None:
        """Apply a note from a replayed log; notes of other parts of the exchange are ignored."""
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
