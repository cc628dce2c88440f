"""`tradebot config accept`: approve the configuration in force, so that it no longer closes entries."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.tables import Table, sentence, staying
from commands.shared.times import when
from commands.shared.verb_options import Report, confirm_for, console
from tradebot.app.baseline import differences, effective
from tradebot.model.event import EventKind
from tradebot.model.text import in_yaml
from tradebot.model.trading import Baseline

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.trading import Difference


class ConfigurationValue(Struct, frozen=True):
    """One value by its dotted name, its source, and how it differs from the accepted value, if it does."""

    key: str
    value: Any
    origin: str
    difference: "Difference | None" = None


class ShownConfiguration(Struct, frozen=True):
    """The requested values; `state_dir` is None if no bot was found and the shipped layers are shown."""

    state_dir: str | None
    key: str | None
    values: tuple[ConfigurationValue, ...]


class ChangedDefault(Struct, frozen=True):
    """A value that differs from the one shipped for the mode."""

    key: str
    shipped: Any
    value: Any
    origin: str


class ConfigurationChecked(Struct, frozen=True):
    """A valid configuration: how many values it has, and what it changes; `file` is None for the one in force.

    `differences` compares it with the accepted one; None if nothing has been accepted yet. `without_effect` are
    sentences on limits of a strategy that the account's tighter limits override. `never_bought` are symbols of the
    universe without a sector, and `left_out` what the universe's file lists besides, such as indexes. `given_up` are
    sentences on kinds of flow facts that the flow source's limits don't let the bot fetch as configured. `warnings` say
    what is still read as an earlier version wrote it, and what to write instead.
    """

    file: str | None
    values: int
    changes: tuple[ChangedDefault, ...]
    differences: "tuple[Difference, ...] | None"
    without_effect: tuple[str, ...]
    never_bought: tuple[str, ...]
    left_out: tuple[str, ...]
    given_up: tuple[str, ...]
    warnings: tuple[str, ...]


class Accepted(Struct, frozen=True):
    """The accepted configuration's fingerprint; `accepted` is False if nothing differed.

    `before` is the fingerprint that it replaced, None if nothing had been accepted yet. `at` is this machine's time.
    """

    accepted: bool
    differences: "tuple[Difference, ...]"
    before: str | None
    fingerprint: str
    who: str
    at: datetime


def run(app: "App", *, by: str, confirmed: str | None) -> Report:
    """Show what differs, and accept the current configuration once the account's tail is typed; halted or not.

    Raises OperatorError: exit 2 without a confirmation, 3 with a wrong one.
    """
    before = app.ledger_view.baselines.last()
    found = differences(app.settings, before, app.loaded.origins) if before else ()
    if before and not found:
        return _report(app, before, (), before)
    _show(console(err=True), before, found)
    confirm_for(app, confirmed, what="Accepting this configuration", command="tradebot config accept")
    with app.pass_lock("config accept"):
        app.ledger.baselines.approve(Baseline(effective(app.settings), by, app.stamp_time()))
        after = app.ledger.baselines.last()
    assert after is not None, "the approved configuration was just written"
    _record_event(app, after, found)
    return _report(app, before, found, after)


def _report(app: "App", before: "Baseline | None", found: "tuple[Difference, ...]", after: "Baseline") -> Report:
    data = Accepted(
        accepted=after is not before,
        differences=found,
        before=before.fingerprint if before else None,
        fingerprint=after.fingerprint,
        who=clean(after.who),
        at=after.at,
    )
    return Report("config-accept", data, _render)


def _record_event(app: "App", after: "Baseline", found: "tuple[Difference, ...]") -> None:
    looser = ", ".join(difference.name for difference in found if difference.looser)
    details = {"by": after.who, "fingerprint": after.fingerprint, "differences": str(len(found)), "looser": looser}
    app.events.emit(EventKind.CONFIG_ACCEPTED.at(after.at, details))


def _show(screen: "Console", before: "Baseline | None", found: "tuple[Difference, ...]") -> None:
    if before is None:
        screen.print("These books have no accepted configuration yet. The one in force will be accepted.")
        screen.print("To see it: tradebot config show --origin", style="dim", markup=False)
        return
    screen.print(f"Accepted {when(before.at)} by {clean(before.who)}", markup=False)
    screen.print(table_of(found))


def table_of(found: "tuple[Difference, ...]") -> object:
    """Return the differences as a table, the looser ones first."""
    values = sentence("accepted", "accepted"), sentence("now", "now")
    table = Table("setting", staying("change"), *values, sentence("from", "from"))
    for row in sorted(found, key=lambda row: not row.looser):
        was = in_yaml(row.approved) if row.known else ""
        now = in_yaml(row.now) if row.given else "removed"
        word = ("looser" if row.looser else "tighter") if row.known else "new"
        change = f"[{'red' if row.looser else 'green'}]{word}[/]"
        table.row(escape(row.name), change, escape(was), escape(now), escape(row.origin))
    return table


def _render(screen: "Console", data: Accepted) -> None:
    if not data.accepted:
        screen.print("Nothing to accept: no setting has changed since it was accepted.")
        return
    looser = sum(difference.looser for difference in data.differences)
    tighter = len(data.differences) - looser
    changes = f": {looser} looser, {tighter} tighter" if data.before else ""
    screen.print(f"[green]Accepted[/green]: this configuration is in force from now on{changes}")
    screen.print("  a running serve keeps the configuration that it read last: reload it", style="dim")
