"""Serve the control API of the faults under /exchange/v1/faults."""

from __future__ import annotations

import json
from collections.abc import Iterable

from papervenue.commands.command import Command
from papervenue.exchange import Exchange
from papervenue.faces.web import Call, Reply, Route, ok, route
from papervenue.faults import fault_table
from papervenue.faults.fault_state import PATH
from papervenue.faults.rules import RuleError, read_rules
from papervenue.jsontext import decode_object
from papervenue.market.spec import MarketError
from papervenue.refusal import not_found


class FaultFace:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.status_parts["faults"] = lambda: [one.rule.name for one in exchange.faults.book]

    def routes(self) -> list[Route]:
        book = self._exchange.faults.book
        return [
            route(
                PATH, GET=lambda call: ok({"faults": [one.to_json() for one in book]}), POST=self._arm, DELETE=self._run
            ),
            route(PATH + "/ready", GET=self._ready),
            route(PATH + "/ready/{name}", GET=self._show),
            route(PATH + "/{name}", DELETE=self._run),
        ]

    def _arm(self, call: Call) -> Reply:
        """Arm the script in the body, or the ready-made script it names. The log holds the text, not the name."""
        given = _script(call.body)
        return Reply(*self._exchange.run(Command("POST", PATH, body=fault_table.text_of(given.strip()) or given)))

    def _run(self, call: Call) -> Reply:
        return Reply(*self._exchange.run(Command(call.method, call.raw_path)))

    def _ready(self, call: Call) -> Reply:
        return ok(
            {"scripts": [{"name": name, "summary": fault_table.summary_of(name)} for name in fault_table.names()]}
        )

    def _show(self, call: Call) -> Reply:
        text = fault_table.text_of(call.names["name"])
        if text is None:
            raise not_found(f"no ready-made script has that name; choose from {', '.join(fault_table.names())}")
        return ok({"name": call.names["name"], "script": text})


def _script(body: str) -> str:
    """Return the script in a body: either the body itself, or the `script` field of a JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    inner = value.get("script") if isinstance(value, dict) and set(value) == {"script"} else None
    return inner if isinstance(inner, str) else body


def arm_at_start(exchange: Exchange, scripts: Iterable[str]) -> None:
    """Arm scripts at the start; one whose rules are already armed unchanged keeps its counts. Raise MarketError."""
    for script in scripts:
        if not _is_armed(exchange, script):
            status, answer = exchange.run(Command("POST", PATH, body=script))
            if status != 200:
                refusal = decode_object(answer.decode())
                raise MarketError(f"can't arm the faults: {refusal['message']}", refusal["hint"])


def _is_armed(exchange: Exchange, script: str) -> bool:
    try:
        rules = read_rules(script)
    except RuleError as error:
        raise MarketError(f"can't arm the faults: {error}", error.hint) from error
    armed = {one.rule.name: one.rule.written for one in exchange.faults.book}
    return all(armed.get(rule.name) == rule.written for rule in rules)
