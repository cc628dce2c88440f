"""The screen of `tradebot doctor`."""

from typing import TYPE_CHECKING

from rich.markup import escape

from commands.shared.plain import clean
from commands.shared.tables import Table, sentence, staying
from tradebot.text import counted_kind, noun

if TYPE_CHECKING:
    from rich.console import Console

    from commands.doctor.checks.row import Check
    from commands.doctor.report import Health

STYLE = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "dim"}


def show(console: "Console", data: "Health", mode: str | None, tail: str | None) -> None:
    """Print a row for each check, its evidence below it, and the fix if one is needed."""
    whose = f"{mode}, account …{tail}, state" if mode else "state"
    asked = "broker and flow source contacted" if data.asked else "offline: broker and flow source not contacted"
    console.print(f"[bold]{whose}[/bold] {escape(data.state_dir)}; {asked}")
    table = Table("mark", staying("check"), sentence("found"), header=False)
    for row in data.rows:
        table.row(f"[{STYLE[row.mark]}]{row.mark}[/]", row.name, _words(row))
    console.print(table)
    color = "red" if data.fail else "yellow" if data.warn else "green"
    console.print(
        f"[{color}]{data.ok} ok, {data.warn} {noun(data.warn, 'warning')}, {data.fail} failed[/], {data.skip} skipped"
    )


def _words(row: "Check") -> str:
    seen = f" [dim]({counted_kind(row.count, row.looked_at)}{_age(row.age_s)})[/]" if row.looked_at else ""
    fix = f"\n[bold]fix:[/] {escape(clean(row.fix))}" if row.fix else ""
    return f"{escape(clean(row.found))}{seen}{fix}"


def _age(age_s: float | None) -> str:
    """Return the age of the newest thing checked; empty if it was read just now."""
    if not age_s:
        return ""
    if age_s < 120:
        return f", {age_s:.0f} s old"
    return f", {age_s / 60:.0f} min old" if age_s < 7200 else f", {age_s / 3600:.0f} h old"
