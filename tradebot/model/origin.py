"""Where the entries of the books come from."""

from enum import StrEnum


class Origin(StrEnum):
    """What wrote a fill, a cash movement or a note about foreign shares; `about` holds the id or symbol named below.

    VENUE is an execution. PLAN is an accepted plan (its id). ADOPTION takes a position over or leaves it alone (its
    symbol). ACTIVITY is the broker's (its id). GIVEN_BACK moves a fill to its owner (the fill's id). TAKEN_OVER adds
    what one of our orders bought or sold before the books began (the order's venue id).
    """

    VENUE = "venue"
    PLAN = "plan"
    ADOPTION = "adoption"
    ACTIVITY = "activity"
    GIVEN_BACK = "given_back"
    TAKEN_OVER = "taken_over"
    UNKNOWN = "unknown"
