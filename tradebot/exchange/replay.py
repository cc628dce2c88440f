"""Replay a log: run its requests again at their own times and check that they reproduce every line."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tradebot.exchange.commands.command import Command
from tradebot.exchange.log import FORMAT, Log, read_event
from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError
from tradebot.exchange.times import parse_time

if TYPE_CHECKING:
    from tradebot.exchange.exchange import Exchange

CREATED, REQUEST, NOTE = "created", "request", "note"
"""The event of the log's first line, that of a command, and the mark of a note, which a replay copies unchanged."""
RESTORE_BOTH = "restore log.jsonl and market.json together, or " + NEW_EXCHANGE


def replay(log: Log, world: Exchange, made: deque[bytes], after: int = 0) -> None:
    """Replay a log, skipping the first `after` lines if the world already has their state.

    `made` collects the produced lines; those left at the end were lost to a crash. Raise MarketError if a line differs
    from what the commands before it produce.
    """
    for number, line in enumerate(log.read(after), start=after + 1):
        if number == 1:
            _check_format(read_event(line, number))
        if not made:
            _go_on(line, number, world, made)
        if not made or made.popleft() != line:
            problem = f"log.jsonl line {number} doesn't match its commands: someone edited the log or the market"
            raise MarketError(problem, RESTORE_BOTH)


def _go_on(line: bytes, number: int, world: Exchange, made: deque[bytes]) -> None:
    """Do what a line says, if no earlier line already produced it."""
    event = read_event(line, number)
    world.advance(_moment(event, number))
    if event.get(NOTE):
        made.append(line)
        world.apply_note(event)
    elif event.get("event") == REQUEST:
        world.execute(_command(event, number))


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
