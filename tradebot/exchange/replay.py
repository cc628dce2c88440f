"""Replay a log: say what to do at which time, and check that it reproduces every line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tradebot.exchange.commands.command import Command
from tradebot.exchange.log import FORMAT, Log, read_event
from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError
from tradebot.exchange.times import parse_time

CREATED, REQUEST, NOTE = "created", "request", "note"
"""The event of the log's first line, that of a command, and the mark of a note, which a replay copies unchanged."""
RESTORE_BOTH = "restore log.jsonl and market.json together, or " + NEW_EXCHANGE


Step = Command | dict[str, Any]
"""A command to run, or a note to apply."""


def replay(log: Log, made: deque[bytes], after: int = 0) -> Iterator[tuple[int, Step | None]]:
    """Yield engine times and what to do then, skipping the first `after` lines, whose state is known.

    Doing it must add the lines that it produces to `made`; those left at the end were lost to a crash. Raise
    MarketError if a line differs from what the commands before it produce.
    """
    for number, line in enumerate(log.read(after), start=after + 1):
        if number == 1:
            _check_format(read_event(line, number))
        if not made:
            yield _step(line, number, made)
        if not made or made.popleft() != line:
            problem = f"log.jsonl line {number} doesn't match its commands: someone edited the log or the market"
            raise MarketError(problem, RESTORE_BOTH)


def _step(line: bytes, number: int, made: deque[bytes]) -> tuple[int, Step | None]:
    """Return what a line says to do, if no earlier line already produced it."""
    event = read_event(line, number)
    at_us = _moment(event, number)
    if event.get(NOTE):
        made.append(line)
        return at_us, event
    return at_us, _command(event, number) if event.get("event") == REQUEST else None


def _check_format(event: dict[str, Any]) -> None:
    if event.get("event") == CREATED and event.get("format") != FORMAT:
        raise MarketError(
            f"log.jsonl is of format {event.get('format', 1)}, and this program can only replay format {FORMAT}",
            NEW_EXCHANGE,
        )


_parsed = lru_cache(maxsize=16)(parse_time)
"""Cached, because consecutive lines often have the same time."""


def _moment(event: dict[str, Any], number: int) -> int:
    try:
        return _parsed(str(event.get("at")))
    except (ValueError, OverflowError) as error:
        raise MarketError(f"log.jsonl line {number} has no valid time", RESTORE_BOTH) from error


def _command(event: dict[str, Any], number: int) -> Command:
    try:
        return Command(**{name: str(event[name]) for name in Command._fields})
    except KeyError as error:
        raise MarketError(f"log.jsonl line {number} is a request without its {error}", RESTORE_BOTH) from error
