"""Arm fault scripts when an exchange starts serving."""

from __future__ import annotations

from collections.abc import Iterable

from tradebot.exchange.commands.command import Command
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faults.control import PATH
from tradebot.exchange.faults.rules import RuleError, read_rules
from tradebot.exchange.jsontext import decode_object
from tradebot.exchange.market.spec import MarketError


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
