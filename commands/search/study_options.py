"""How a study is kept and played, as the options say it."""

from enum import StrEnum

from msgspec import Struct


class On(StrEnum):
    """Where the workers of a search are."""

    PROCESSES = "processes"
    RAY = "ray"


class StudyOptions(Struct, frozen=True):
    """Where a study is kept and under which name, how many workers play it where, and whether it is taken up."""

    storage: str | None = None
    study: str | None = None
    workers: int | None = None
    resume: bool = False
    only_check: bool = False
    on: On = On.PROCESSES
