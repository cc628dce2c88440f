"""`tradebot config diff`: what differs from the accepted configuration, and from the defaults."""

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.config.accept import ChangedDefault, table_of
from commands.config.current_config import accepted_of, changes_of, loaded_for, report_of
from commands.shared.light_helpers import clean
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.app.baseline import differences
from tradebot.model.text import in_yaml

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.model.trading import Difference


class AcceptedConfiguration(Struct, frozen=True):
    """Which configuration was accepted, when (this machine's time) and by whom, and what is different now."""

    fingerprint: str
    at: datetime
    who: str
    differences: "tuple[Difference, ...]"


class Diff(Struct, frozen=True):
    """How the configuration in force differs from the accepted one, and from what is shipped for its mode and venue.

    `accepted` is None if nothing was accepted yet, or if there is no bot.
    """

    state_dir: str | None
    accepted: AcceptedConfiguration | None
    defaults: tuple[ChangedDefault, ...]


def run(state_dir: str | None, config: str | None) -> Report:
    """Compare the configuration in force; raise OperatorError if it can't be read."""
    folder, loaded = loaded_for(state_dir, config)
    baseline = accepted_of(folder)
    accepted = None
    if baseline is not None:
        differ = differences(loaded.settings, baseline, loaded.origins)
        accepted = AcceptedConfiguration(baseline.fingerprint, baseline.at, clean(baseline.who), differ)
    data = Diff(str(folder.path) if folder else None, accepted, changes_of(loaded))
    return report_of("config-diff", data, folder, loaded, _render)


def _render(console: "Console", data: Diff) -> None:
    from commands.shared.tables import Table, sentence

    if data.state_dir is None:
        console.print("There is no bot here, so nothing was accepted.", style="dim")
    elif data.accepted is None:
        console.print("Nothing has been accepted for these books yet. Next: tradebot config accept", markup=False)
    else:
        _render_accepted(console, data.accepted)
    if not data.defaults:
        console.print("Every setting has its shipped value.")
        return
    console.print("Different from the defaults")
    table = Table("setting", sentence("shipped", "shipped"), sentence("now", "now"), sentence("from", "from"))
    for row in data.defaults:
        table.row(escape(row.key), escape(in_yaml(row.shipped)), escape(in_yaml(row.value)), escape(row.origin))
    console.print(table)


def _render_accepted(console: "Console", accepted: AcceptedConfiguration) -> None:
    where = f"what {accepted.who} accepted {when(accepted.at)}"
    if not accepted.differences:
        console.print(f"Nothing differs from {where}.", markup=False)
        return
    console.print(f"Different from {where}", markup=False)
    console.print(table_of(accepted.differences))
    if any(row.looser for row in accepted.differences):
        console.print("What is looser closes entries. Next: tradebot config accept, or set it back", markup=False)
