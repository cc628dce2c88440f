"""What a script has decided for a command, carried out on the engine's side: the log's request line holds it all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tradebot.exchange.commands.command import Answer, Command
from tradebot.exchange.faults.book import Firing
from tradebot.exchange.faults.kinds import Facts
from tradebot.exchange.jsontext import encode

LATE, TWICE, HALT, FATE, ACKNOWLEDGED = "late_us", "twice", "halt", "fate", "acknowledged"
_FATES = {
    "refused": "refuse",
    "reject_after_acceptance": "reject",
    "partial_then_cancel": "partial_then_cancel",
    "fill_during_cancel": "fill_on_cancel",
}
"""What becomes of an order or of a request to change one, in the engine's word, by fault."""
_ON_ITS_WAY = (202, b"")

CarryOut = Callable[[Command], Answer]
Later = Callable[[int, Command], None]
"""(microseconds from now, the command that arrives then)."""


def effects_of(firings: Iterable[Firing], facts: Facts, now_us: int) -> str:
    """Return the effects of firings on a command, as its line in the log holds them; empty where there are none."""
    found = [effect for firing in firings for effect in _effects(firing, facts, now_us)]
    return encode(found).decode() if found else ""


def _effects(firing: Firing, facts: Facts, now_us: int) -> list[dict[str, Any]]:
    name, fault, told = firing.rule.name, firing.rule.fault, firing.rule.settings
    if fault == "late_arrival":
        return [{LATE: told["value"]}]
    if fault == "late_acknowledgement":
        return [{ACKNOWLEDGED: [told["value"], told["status"]]}]
    if fault == "delivered_twice":
        return [{TWICE: told["answer"]}]
    if fault == "halt_symbol":
        until_us = None if told["value"] is None else now_us + told["value"]
        return [{HALT: symbol, "rule": name, "until_us": until_us} for symbol in facts.symbols]
    return [{FATE: _FATES[fault]}] if fault in _FATES else []


def delivered(command: Command, carry_out: CarryOut, later: Later) -> Answer:
    """Deliver a command as was decided: once, twice, or later, when its answer reaches nobody."""
    effects = effects_in(command)
    late_us = next((effect[LATE] for effect in effects if LATE in effect), None)
    if late_us is not None:
        later(late_us, command)
        return _ON_ITS_WAY
    first = carry_out(command)
    wanted = next((effect[TWICE] for effect in effects if TWICE in effect), None)
    if wanted is None:
        return first
    second = carry_out(command)
    return first if wanted == "first" else second


def effects_in(command: Command) -> list[Mapping[str, Any]]:
    """Return the effects that a command's line holds."""
    found: list[Mapping[str, Any]] = json.loads(command.effects or "[]")
    return found
