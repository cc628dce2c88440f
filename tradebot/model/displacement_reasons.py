"""Reasons about making room for a better candidate when the book is full. `reasons` merges them into the one table."""

from tradebot.model.reason_codes import Cause, Reason, ReasonRow
from tradebot.model.reason_codes import row as _row
from tradebot.model.units import Unit

_WAIT = "Nothing to do: the candidate is judged again whenever its strategy proposes it."

MAKING_ROOM = frozenset({Reason.DISPLACEMENT_STARTED, Reason.DISPLACEMENT_PENDING})
"""Reasons for which a candidate only waits until a position is closed."""

DISPLACEMENT_REASONS: dict[Reason, ReasonRow] = {
    Reason.DISPLACEMENT_STARTED: _row(
        Cause.IDLE,
        "The book is full, so the strategy's weakest position is being closed to make room for this candidate.",
        "Nothing to do: once that close has filled, a later pass judges the candidate like any other.",
    ),
    Reason.DISPLACEMENT_PENDING: _row(
        Cause.IDLE,
        "As many positions of the strategy as allowed are giving way already.",
        "Wait until they are closed; displacement.max_per_pass sets how many may give way at a time.",
        Unit.POSITIONS,
    ),
    Reason.DISPLACEMENT_FAILED: _row(
        Cause.BLOCKED,
        "The position that would give way couldn't be closed; the reason is shown beside it.",
        "tradebot orders --all shows what happened to the close. The next pass chooses again.",
    ),
    Reason.DISPLACED_LATELY: _row(
        Cause.IDLE,
        "The symbol was to make room for another a short while ago, so it neither gives way nor displaces one.",
        "Wait for displacement.cooldown_s to pass.",
        Unit.SECONDS,
    ),
    Reason.NOTHING_TO_DISPLACE: _row(
        Cause.IDLE,
        "The book is full of other strategies' positions, and a strategy displaces only its own.",
        _WAIT,
        Unit.POSITIONS,
    ),
    Reason.FREES_NO_ROOM: _row(
        Cause.IDLE,
        "Even without the position there would be no room: the book is above its limit, or someone else has the same "
        "symbol.",
        "Wait for positions to close.",
        Unit.POSITIONS,
    ),
    Reason.SCORE_UNKNOWN: _row(
        Cause.UNKNOWN,
        "Nobody knows the score that the position was opened for, so no candidate counts as better.",
        "Nothing to do; the position's exits manage it.",
    ),
    Reason.POSITION_TOO_YOUNG: _row(
        Cause.IDLE,
        "The position is too young to give way.",
        "Wait; displacement.min_age_s sets the age.",
        Unit.SECONDS,
    ),
    Reason.GAIN_OUTSIDE_BAND: _row(
        Cause.IDLE,
        "The position has gained or lost too much to give way; its exits manage it.",
        "Nothing to do; displacement.gain_band_fraction sets how much is too much.",
        Unit.SHARE_OF_WHOLE,
    ),
    Reason.SCORE_ADVANTAGE_TOO_SMALL: _row(
        Cause.IDLE,
        "The candidate isn't clearly better than the position.",
        f"{_WAIT} displacement.score_advantage sets how much better it has to be.",
    ),
}
