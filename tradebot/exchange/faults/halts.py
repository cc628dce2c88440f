"""Track halted symbols, whether a rule's time window halts them or a request triggered a halt."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.faults.book import Armed, FaultBook
from tradebot.exchange.faults.effects import HALT


class Halts(Container[str]):
    """The symbols halted now. They depend only on rules, commands and engine time, so a replay halts them again."""

    def __init__(self, book: FaultBook, engine: Engine) -> None:
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

    def _holds(self, armed: Armed, symbol: str, now_us: int) -> bool:
        rule = armed.rule
        if rule.when.request:
            fired = self._fired.get(rule.name, {})
            until_us = fired.get(symbol)
            return symbol in fired and (until_us is None or now_us < until_us)
        lasts_us = rule.settings["value"]
        over = lasts_us is not None and now_us >= self._book.began(armed, now_us) + lasts_us
        return not over and any(fnmatchcase(symbol, pattern) for pattern in rule.when.symbol or ("*",))
