"""Move a strategy's times to other sessions of the month, to see how much a result depends on the day."""

from collections.abc import Callable

from tradebot.timetable.own_clock import Days, OwnTimes

SESSIONS_OF_MONTH = ("first", "2nd", "3rd", *(f"{number}th" for number in range(4, 21)), "21st")
"""The sessions that every month has or nearly has; in a shorter month, the later ones are its last one."""
_MOST = {True: 23, False: 5}
"""The most sessions that a month and a week can have."""
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def session_of_month(times: OwnTimes) -> str | None:
    """Return the session of the month that all of a strategy's times name, such as "first"; None if they don't."""
    named = {part.days.text.split()[0] if part.days and part.days.monthly else "" for part in times.parts}
    return named.pop() or None if len(named) == 1 else None


def in_session_of_month(times: OwnTimes, which: str) -> str:
    """Return these times in another session of the month; `session_of_month` must have found theirs."""
    return _moved(times, lambda days: f"{which} session of month")


def a_session_later(times: OwnTimes) -> str | None:
    """Return the same times in the session after theirs; None unless all of them name a session of the week or month.

    After the last session comes the first of the next week or month.
    """
    if not all(part.days for part in times.parts):
        return None
    return _moved(times, _next)


def _moved(times: OwnTimes, to: Callable[[Days], str]) -> str:
    words = [word.strip() for word in times.text.split(",")]
    named = [(word, part.days) for word, part in zip(words, times.parts, strict=True)]
    return ", ".join(word.replace(days.text, to(days), 1) if days else word for word, days in named)


def _next(days: Days) -> str:
    period = "month" if days.monthly else "week"
    if not days.first:
        return f"first session of {period}"
    number = days.number + 1
    if number > _MOST[days.monthly]:
        return f"first session of {period}"
    ending = "th" if number in (11, 12, 13) else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending} session of {period}"
