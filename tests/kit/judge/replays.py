"""The law that each pass that ended is decided again as it was, from what the bot itself kept of it."""

from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from tradebot.adapters.facts.kept_passes import KeptPasses
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.app.replays import rules_of_record
from tradebot.replaying.comparing import replay
from tradebot.replaying.passes import read_record
from tradebot.replaying.reading import Shared
from tradebot.replaying.writing import RecordError, digest_of

RULES = lru_cache(maxsize=16)(rules_of_record)
"""The bots of a campaign have few configurations."""


def decided_otherwise(folder: Path, before: set[bytes]) -> Iterator[str | None]:
    """Yield, for each pass that a bot kept, why it isn't decided again as it was; None if it is.

    Records that are among those `before` were decided again as they were by this program, and aren't decided once more:
    each day begins with passes of the ground that it stands on.
    """
    shared = Shared()
    with closing(KeptPasses(folder, MemoryEvents(), 1)) as kept:
        for one in kept.passes():
            try:
                found = kept.record(one.id)
                assert found is not None, "it has just been listed"
                digest = digest_of(b"".join((one.id.encode(), *map(digest_of, (found[0], *found[1])))))
                if digest in before:
                    continue
                recorded = read_record(*found, shared)
                difference = replay(recorded, RULES(recorded.surroundings)).difference
            except RecordError as error:
                yield f"{one.id} can't be decided again: {error}"
            else:
                if difference is None:
                    before.add(digest)
                yield None if difference is None else f"{one.id} is decided otherwise again: {difference}"
