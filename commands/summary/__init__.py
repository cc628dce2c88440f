"""`tradebot summary`: one session in words, from the bot's own records. Doesn't contact the broker."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.report.files import Html, files_of, write_files
from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, identity, on_bot, opened_to_look

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "summary",
    VerbPurpose.LOOK,
    10,
    {"summary/1": ("tradebot.views.summary.values:Summary",)},
    epilog="tradebot summary\ntradebot summary 2026-11-16\ntradebot summary --short\ntradebot summary --html day.html",
    opens=opened_to_look,
    is_short=True,
)
def summary(
    bot: "App",
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="The session's date [the last one that began].")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Print it as one chat message, in plain text.")] = False,
    html: Html = None,
) -> Report:
    """Summarize a session in words, even without trades.

    Covers the bot's trades and refusals, its profit against SPY, its positions with their stops, missed slots, its
    health, what needs your attention and what changed since the session before. Reads the bot's own records, without
    contacting the broker.
    """
    from commands.summary.summary_inputs import describe_bot, message, page, read, show

    files = files_of(None, html)
    data = read(bot, session)
    bot_identity = describe_bot(data, identity(bot))
    report = Report("summary", data, message if short else lambda console, _: show(console, data, bot_identity))
    return write_files(report, files, (), lambda: page(data, bot_identity))
