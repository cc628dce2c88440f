"""Find out of what we have heard too long ago, so that it counts as absent."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from tradebot.adapters.text.canonical import time_text
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.record import SymbolFacts
from tradebot.model.values import replace
from tradebot.signals.kinds import kind_of

LAST_HEARD = """SELECT asked.value ->> 0, asked.value ->> 1, (
    SELECT max(at) FROM intakes WHERE endpoint = asked.value ->> 0 AND symbol = asked.value ->> 1
    AND at BETWEEN asked.value ->> 2 AND ?2) FROM json_each(?1) AS asked"""
Heard = dict[tuple[str, str], str]
"""When a reply about a kind and symbol came, as far as it was looked up."""


def without_old(
    database: sqlite3.Connection, found: Mapping[str, SymbolFacts], now: datetime, heard: Heard
) -> Mapping[str, SymbolFacts]:
    """Return what is known by symbol without the kinds whose last reply is older than their freshness limit.

    Alerts stay: when they were fetched is known with them, and whoever reads them judges by that. A reply that is in
    `heard`, and still counts, isn't looked for again.
    """
    until, old = time_text(now), dict[str, set[str]]()
    asked = [one for one in _asked(found.values(), now) if not one[2] <= heard.get(one[:2], "") <= until]
    for kind, symbol, at in database.execute(LAST_HEARD, (json.dumps(asked), until)) if asked else ():
        if at is None:
            old.setdefault(symbol, set()).add(kind)
        else:
            heard[kind, symbol] = at
    return {**found, **{symbol: _without(found[symbol], kinds) for symbol, kinds in old.items()}}


def _asked(found: Iterable[SymbolFacts], now: datetime) -> Iterable[tuple[str, str, str]]:
    since: dict[str, str | None] = {}
    for facts in found:
        for name in facts.known:
            if name not in since:
                limit_s = None if name == FLOW_ALERTS else kind_of(name).max_age_s
                since[name] = None if limit_s is None else time_text(now - timedelta(seconds=limit_s))
            if (start := since[name]) is not None:
                yield name, facts.symbol, start


def _without(facts: SymbolFacts, kinds: set[str]) -> SymbolFacts:
    return replace(facts, known={name: value for name, value in facts.known.items() if name not in kinds})
