"""How far a study is; what shows it needn't load what keeps it."""

from msgspec import Struct


class TrialCounts(Struct, frozen=True):
    """How many trials of a study were played, waiting or being played, refused by the loader, or given up.

    `few` were played and left out, because they had too few trades or not every objective.
    """

    played: int
    left: int
    refused: int
    few: int
    given_up: int
