"""The options --from and --to: a span of days in New York, both included."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from tradebot.errors import OperatorError, word

if TYPE_CHECKING:
    from tradebot.views.performance.days import Days

From = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="The first day, in New York [the first recorded].")
]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day, in New York [the last recorded].")]


def days_of(first: str | None, last: str | None) -> "Days":
    """Return the days that the options name; raise OperatorError for an unreadable date or an empty span."""
    from tradebot.views.performance.days import Days

    days = Days(_date("--from", first), _date("--to", last))
    if days.first and days.last and days.first > days.last:
        raise OperatorError(
            f"--from {days.first} is after --to {days.last}", f"write --from {days.last} --to {days.first}"
        )
    return days


def _date(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(f"{option} {word(text)} is not a date", f"write {option} 2026-11-16") from error
