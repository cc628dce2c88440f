"""The options for storing and running a study."""

from enum import StrEnum

from msgspec import Struct


class WorkerLocation(StrEnum):
    """Where the workers of a search run."""

    PROCESSES = "processes"
    RAY = "ray"


class StudyOptions(Struct, frozen=True):
    """A study's storage and name, how many workers it has and where they run, and whether it is resumed."""

    storage: str | None = None
    study: str | None = None
    workers: int | None = None
    resume: bool = False
    only_check: bool = False
    on: WorkerLocation = WorkerLocation.PROCESSES
