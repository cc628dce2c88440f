"""Find positions that fills take from one state to another that can't follow it, such as a closed one that opens."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tradebot.model.books import Books
from tradebot.model.lifecycle import State, may_follow
from tradebot.model.position import FOREIGN, OwnedFill


class Leap(NamedTuple):
    """A position that fills take from one state to another that can't follow it."""

    strategy: str
    symbol: str
    before: State
    after: State


def leaps(books: Books, pending: Sequence[OwnedFill]) -> Iterator[Leap]:
    """Yield the leaps of our positions by fills that the broker reports and the books don't have yet."""
    before, after = books.states(), books.with_pending(pending).states()
    for key in sorted({(owned.strategy, owned.fill.symbol) for owned in pending if owned.strategy != FOREIGN}):
        was = before.get(key, State.CLOSED)
        if not may_follow(after[key], was):
            yield Leap(*key, was, after[key])
