"""`tradebot watchdog`: watch bots from outside, and raise an alarm when one of them falls silent."""

import json
import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import clean, say
from commands.shared.times import when
from commands.shared.verb_options import Json, Report, finish
from tradebot.adapters.state.user_files import read_env_file
from tradebot.app.keys import load_addresses
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

EVERY_S = 60.0
"""Real seconds between two rounds."""


class WatchProblem(Struct, frozen=True):
    """A bot's problem: when the watch first saw it, the evidence, and whether people were notified."""

    bot: str
    since: datetime
    found: str
    told: bool


class WatchReport(Struct, frozen=True):
    """One round: the bots, present and past problems, and the channels that failed, with the reason."""

    folder: str
    bots: tuple[str, ...]
    at: datetime
    wrong: tuple[WatchProblem, ...]
    over: tuple[WatchProblem, ...]
    problems: dict[str, str]
    pinged: bool


def run(folder: "Path", failed: str | None = None) -> Report:
    """Run one round for a watch's folder.

    Exit 5 if a channel or the watch's memory failed, otherwise 10 if there is a problem.
    """
    from commands.watchdog.watch import KEYS, PING, load, watch

    settings = load(folder)
    addresses = load_addresses(os.environ, folder / KEYS, settings.channels)
    ping = os.environ.get(PING) or read_env_file(folder / KEYS).get(PING)
    done = watch(folder, settings, addresses, ping, failed)
    wrong, over = (
        tuple(WatchProblem(name.partition(" ")[0], each.since, each.found, each.told) for name, each in rows.items())
        for rows in (done.wrong, done.over)
    )
    data = WatchReport(str(folder), tuple(settings.bots), done.at, wrong, over, dict(done.problems), done.pinged)
    code = ExitCode.FINDINGS if wrong else ExitCode.DONE
    return Report("watchdog", data, _render, ExitCode.UNAVAILABLE if done.problems else code)


def _render(console: "Console", data: WatchReport) -> None:
    from rich.markup import escape

    for each in data.wrong:
        state = "told" if each.told else "not notified yet"
        since = f"since {when(each.since)}, {state}"
        console.print(f"[red]WRONG[/red]  {each.bot}: {escape(clean(each.found))} ({since})")
    for each in data.over:
        console.print(f"[green]over[/green]   {each.bot}: {escape(clean(each.found))}")
    fine = [bot for bot in data.bots if bot not in {each.bot for each in data.wrong}]
    for bot in fine:
        console.print(f"[green]well[/green]   {bot}")
    for name, problem in data.problems.items():
        console.print(f"NOT NOTIFIED through {name}: {clean(problem)}", markup=False)
    if data.pinged:
        console.print("The dead-man service was notified that all is well.")


@verb(
    "watchdog",
    VerbPurpose.TELL,
    110,
    {"watchdog/1": (WatchReport,)},
    elsewhere=True,
    epilog="tradebot watchdog --once  # from cron or a timer of its own\ntradebot watchdog",
)
def watchdog(
    once: Annotated[bool, typer.Option("--once", help="Check once [every minute until a signal].")] = False,
    folder: Annotated[
        str | None, typer.Option("--folder", help="The watch's own folder [TRADEBOT_WATCHDOG, ~/.tradebot-watchdog].")
    ] = None,
    failed: Annotated[
        str | None, typer.Option("--failed", help="Check once, and send an alert that this systemd unit failed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch bots from outside, and notify you when one fails.

    Its channels and its memory are in a separate folder, so that it still works when the bot's process, disk,
    configuration or folder fails. Each cause is reported when it begins and when it is over. Exits with code 10 if
    there is a problem, and with 5 if a channel failed.
    """
    from commands.watchdog.watch import folder_of

    path = folder_of(folder, os.environ)
    while not once and failed is None:
        report = run(path)
        say(json.dumps(report.document()) if as_json else _line(report))
        time.sleep(EVERY_S)
    finish(run(path, failed), as_json)


def _line(report: Report) -> str:
    data: WatchReport = report.data
    wrong = "; ".join(f"{each.bot}: {clean(each.found)}" for each in data.wrong)
    problems = "".join(f"; NOT NOTIFIED through {name}: {clean(problem)}" for name, problem in data.problems.items())
    return f"{when(data.at)} {wrong or 'all is well'}{problems}"
