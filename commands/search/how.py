"""How a study is kept and played, as the options say it."""

from msgspec import Struct


class How(Struct, frozen=True):
    """Where a study is kept and under which name, how many workers play it, and whether it is taken up."""

    storage: str | None = None
    study: str | None = None
    workers: int | None = None
    resume: bool = False
    only_check: bool = False
