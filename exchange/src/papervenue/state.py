"""Read and write an exchange's files: the market, recorded bars, log, snapshot, and server address."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from papervenue.market.rates import NO_RATES, Rates
from papervenue.market.spec import NEW_EXCHANGE, MarketError, MarketSpec
from papervenue.private_files import write_atomically

MARKET_FILE = "market.json"
BARS_FILE = "bars.csv"
DAYS_FILE = "days.jsonl"
ACTIONS_FILE = "actions.csv"
CAPTURES_FOLDER = "captured"
LOG_FILE = "log.jsonl"
SNAPSHOT_FILE = "snapshot"
"""The state that the log leads to, so that a start doesn't replay all of it; it can be deleted at any time."""
ACCOUNTS_FILE = "accounts.json"
"""The names of the accounts, for shell completion; the log alone decides which accounts exist."""
LOCK_FILE = "exchange.lock"
PORT_FILE = "exchange.port"
SERVER_LOG_FILE = "server.log"
_RESTORE = "restore it, or " + NEW_EXCHANGE


EDITION = 3
"""The edition of the venues' rules in force.

Since the second one, margined venues take every type of order. Since the third, generated perpetuals have marks that
differ from their last prices, stops follow recorded marks, a collar is around the mark, and liquidation takes fewer
steps.

A market keeps the edition that it was created with, because a replay has to refuse what was refused.
"""


class StoredMarket(NamedTuple):
    """The market file: the specification as requested, and what was determined from it when the market was created.

    `skipped_rows` counts a recorded file's skipped rows by reason, and `first_lines` gives the line where each reason
    first occurred. `extended_rows` counts the file's bars outside regular sessions. `rates` covers the sessions, if a
    cost needs rates. `calendars` has the sessions of symbols that don't trade in the market's sessions, each with its
    `first` and `count`.
    """

    spec: MarketSpec
    symbols: tuple[str, ...]
    sessions: list[dict[str, str]]
    first: int
    skipped_rows: dict[str, int]
    first_lines: dict[str, int]
    extended_rows: int = 0
    rates: Rates = NO_RATES
    calendars: Mapping[str, Any] = MappingProxyType({})
    edition: int = 1


def write_market(state_dir: Path, stored: StoredMarket) -> None:
    fields: dict[str, Any] = stored._asdict()
    fields["spec"], fields["rates"] = stored.spec.to_fields(), stored.rates.to_fields()
    if not stored.calendars:
        del fields["calendars"]
    write_atomically(state_dir / MARKET_FILE, json.dumps(fields))


def read_market(state_dir: Path) -> StoredMarket:
    """Read the market file; raise MarketError if it is missing or damaged."""
    path = state_dir / MARKET_FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MarketError(f"no exchange in {state_dir}", "create one: papervenue serve --folder NEW") from error
    except ValueError as error:
        raise MarketError(f"{path} is damaged: {error}", _RESTORE) from error
    except OSError as error:
        raise MarketError(f"{path} can't be read: {error.strerror}", "make it readable") from error
    try:
        spec, rates = MarketSpec.from_json(json.dumps(fields["spec"])), Rates.from_fields(fields["rates"])
        return StoredMarket(**fields | {"spec": spec, "symbols": tuple(fields["symbols"]), "rates": rates})
    except (KeyError, TypeError, ArithmeticError) as error:
        raise MarketError(f"{path} is damaged: {error!r}", _RESTORE) from error
