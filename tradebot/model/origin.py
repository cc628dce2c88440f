"""Where what the books hold comes from, and what an adjustment of them was for."""

from enum import StrEnum


class Origin(StrEnum):
    """What wrote a fill, a cash movement or a note about shares of others; each may name what it is about.

    VENUE is an execution. PLAN is an accepted plan, by its id. ADOPTION takes a position over or leaves it alone, by
    its symbol. ACTIVITY is the broker's, by its id. GIVEN_BACK moves a fill to its owner, by the fill's id. TAKEN_OVER
    brings in what an order of ours left before the books began, by the venue's id of that order.
    """

    VENUE = "venue"
    PLAN = "plan"
    ADOPTION = "adoption"
    ACTIVITY = "activity"
    GIVEN_BACK = "given_back"
    TAKEN_OVER = "taken_over"
    UNKNOWN = "unknown"
