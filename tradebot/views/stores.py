"""What is stored in a state folder, for how long, and how large it has become."""

from datetime import datetime

from msgspec import Struct


class Store(Struct, frozen=True):
    """One store: its files, what they hold, how long that is kept, their size in bytes, and how old they are.

    `oldest` is when the file that hasn't been written for the longest time was last written, None if there is no file:
    of a store with one file that grows, that is its last change. `money` is True for records of money, which are never
    deleted.
    """

    name: str
    holds: str
    kept: str
    money: bool
    files: int
    bytes: int
    oldest: datetime | None


class Stores(Struct, frozen=True):
    """All stores of a state folder, and the size of everything in it, in bytes."""

    state_dir: str
    stores: tuple[Store, ...]
    bytes: int
