"""What a stream of flow alerts brought."""

from msgspec import Struct


class Heard(Struct, frozen=True):
    """What came over a stream since the last look, oldest first, each row as it came.

    `joined` counts how often the channel was joined so far: between two joins, rows may have been missed. `up` says
    whether it is joined now, and `problem` why it isn't, in plain words. `lost` counts the rows so far that were thrown
    away because nobody took them in time.
    """

    rows: tuple[object, ...]
    joined: int
    up: bool
    lost: int = 0
    problem: str = ""
