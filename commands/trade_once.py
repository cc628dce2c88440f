"""`tradebot trade-once`: ask every gate about every candidate, and send those that pass."""

from typing import TYPE_CHECKING

import typer

from commands.surface import Config, DryRun, ForceSlot, Json, Report, StateDir, caller, finish, opened

if TYPE_CHECKING:
    from rich.console import Console

    from commands.passes import PassData
    from tradebot.wiring import App


def run(app: "App", *, by: str, force_slot: bool = False, dry_run: bool = False) -> Report:
    """Run one pass of entries; exit 3 where permission or the trading state kept entries shut."""
    from commands.passes import begin, pass_data, pass_exit_code, refused_report
    from jobs.claims import Refused
    from tradebot.cycle import trade_once
    from tradebot.model.record import Job

    with app.pass_lock("trade-once"):
        call, _ = begin(app, Job.TRADE_ONCE, by, force=force_slot, dry_run=dry_run)
        if isinstance(call, Refused):
            return refused_report(app, "trade-once", call)
        data = pass_data(trade_once(app.world(dry_run=dry_run), call))
    code = pass_exit_code(data)
    return Report("trade-once", data, lambda console: _render(console, data), code, app.mode, app.account_tail)


def _render(console: "Console", data: "PassData") -> None:
    from commands.passes import render_not_run, render_rows

    if data.not_run:
        render_not_run(console, data.not_run)
        return
    what = "would be sent" if data.dry_run else "sent"
    console.print(f"Entries at {data.at:%Y-%m-%d %H:%M:%S} UTC, slot {data.slot}: {data.candidates} candidates")
    render_rows(console, data, what)
    console.print("Next: tradebot why-no-orders SYMBOL shows one symbol's way through every gate")


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("trade-once", epilog="Example: tradebot trade-once --dry-run")
    def trade_once(
        dry_run: DryRun = False,
        force_slot: ForceSlot = False,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Ask every gate about every candidate, and send those that pass, once each."""
        with opened(state_dir, config) as bot:
            report = run(bot, by=caller(), force_slot=force_slot, dry_run=dry_run)
        finish(report, as_json)
