"""Say what a request for one of the further series asks, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tradebot.exchange.flow.rows import Row
from tradebot.exchange.params import Params


class Question(NamedTuple):
    """One request: its series and path, what it is about (a ticker or a sector; empty for the market), and its query.

    `day` is the ISO date asked for, or None for the current one.
    """

    series: str
    path: str
    about: str
    day: str | None
    params: Params


class Answered(NamedTuple):
    """The rows of an answer in their order, and what its envelope says besides; `single` means one object, no list."""

    rows: Sequence[Row]
    others: Mapping[str, Any] = {}
    single: bool = False


NOTHING = Answered(())
Maker = Callable[[str, Question, int], Answered]
"""Answers a question about a listed symbol (empty for the market or a sector) at an engine time."""
