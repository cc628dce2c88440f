"""Replaying a log: its requests are run again, in their own time, and must give each of its lines once more."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Any, Protocol

from tradebot.exchange.commands.command import Command
from tradebot.exchange.log import FORMAT, Log, read_event
from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError
from tradebot.exchange.times import parse_time

CREATED, REQUEST, NOTE = "created", "request", "note"
"""The log's first line, a command's own line, and the mark of a note, which a replay copies as it stands."""
RESTORE_BOTH = "restore log.jsonl and market.json together, or " + NEW_EXCHANGE


class Replayed(Protocol):
    """What a replay drives; all that happens in it gives lines."""

    def advance(self, to_us: int) -> None:
        """Let engine time pass, as it passed between two commands."""
        ...

    def repeat(self, command: Command) -> None:
        """Run a command again."""
        ...

    def heed(self, event: dict[str, Any]) -> None:
        """Take in a note, which takes the next number."""
        ...


def replay(log: Log, world: Replayed, made: deque[bytes], after: int = 0) -> None:
    """Run a log again, without its first lines where the world is what `after` of them have led to.

    `made` is where the lines go; those left in it at the end are what a crash has lost. Raises MarketError where a
    line is not what the commands before it give.
    """
    for number, line in enumerate(log.read(after), start=after + 1):
        if number == 1:
            _check_format(read_event(line, number))
        if not made:
            _go_on(line, number, world, made)
        if not made or made.popleft() != line:
            raise _diverged(number)


def _go_on(line: bytes, number: int, world: Replayed, made: deque[bytes]) -> None:
    """Do what the line tells of: nothing before it has led to it."""
    event = read_event(line, number)
    world.advance(_moment(event, number))
    if event.get(NOTE):
        made.append(line)
        world.heed(event)
    elif event.get("event") == REQUEST:
        world.repeat(_command(event, number))


def _check_format(event: dict[str, Any]) -> None:
    if event.get("event") == CREATED and event.get("format") != FORMAT:
        raise MarketError(
            f"log.jsonl is of format {event.get('format', 1)}, and this program replays format {FORMAT} alone",
            NEW_EXCHANGE,
        )


_parsed = lru_cache(maxsize=16)(parse_time)
"""Lines of one moment follow each other."""


def _moment(event: dict[str, Any], number: int) -> int:
    try:
        return _parsed(str(event.get("at")))
    except (ValueError, OverflowError) as error:
        raise MarketError(f"log.jsonl line {number} has no time", RESTORE_BOTH) from error


def _command(event: dict[str, Any], number: int) -> Command:
    try:
        return Command(**{name: str(event[name]) for name in Command._fields})
    except KeyError as error:
        raise MarketError(f"log.jsonl line {number} is a request without its {error}", RESTORE_BOTH) from error


def _diverged(number: int) -> MarketError:
    return MarketError(
        f"log.jsonl line {number} is not what its commands give: the log or the market was changed by hand",
        RESTORE_BOTH,
    )
