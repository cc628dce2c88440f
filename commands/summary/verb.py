"""`tradebot summary`: one session in words, from the bot's own records. The broker isn't asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.surface import VERBS, Report, on_bot, opened_to_look
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App", session: str | None, *, short: bool, html: Path | None) -> Report:
    """Sum up a session, and write it as a page if one is asked for."""
    from commands.summary.reading import read
    from commands.summary.screen import message, show

    data, mode, tail = read(app, session), app.mode_name, app.account_tail
    if html is not None:
        from commands.shared.files import save
        from commands.summary.page import page

        save(page(data, mode, tail), html)
    draw = message if short else show
    return Report("summary", data, lambda console, _: draw(console, data, mode, tail, html), mode=mode, account=tail)


@on_bot(
    VERBS,
    "summary",
    epilog="tradebot summary\ntradebot summary 2026-11-16\ntradebot summary --short\ntradebot summary --html day.html",
    opens=opened_to_look,
)
def summary(
    bot: "App",
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="The session's date [the last one that began].")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Print it as one chat message, in plain text.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write it as a web page.")] = None,
) -> Report:
    """Sum up a session in words, also if nothing was traded.

    Says what the bot did and refused, what it made against SPY, what it holds with which stops, which slots were
    missed, how it is, what needs you and what changed since the session before. Reads the bot's own records; the
    broker isn't asked.
    """
    if html == Path("-"):
        raise OperatorError("a page can't go to stdout", "name its file: --html day.html")
    return run(bot, session, short=short, html=html)
