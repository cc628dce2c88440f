"""`tradebot unhalt`: allow entries again once the books and the broker agree and a person has confirmed.

An override, which needs a reason, ends the halt without that comparison (if the broker doesn't respond, for example).
Nothing else changes: every gate still checks reconciliation, permission and limits.
"""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.reconcile.run import compare
from commands.shared.ask_strategies import under_pass_lock
from commands.shared.light_helpers import NO_REASON, clean
from commands.shared.times import when
from commands.shared.verb_options import Report, confirm_for, console
from tradebot.adapters.state.evidence import SHADOW
from tradebot.adapters.state.halt_switch import displaced_halt_folders
from tradebot.adapters.state.serve_status import forget_starts
from tradebot.desk.auto_halt import accept_causes, remaining_causes
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.event import EventKind
from tradebot.model.trading import TradingState, TradingStateRecord, hidden_halts

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App


class Unhalted(Struct, frozen=True):
    """The halt that ended, and when, by this machine's clock; `cleared` is False if nothing was halted.

    `overridden` is True if the halt ended without a comparison of the books. `aside` lists non-empty folders that had
    the name of the HALT file; they were renamed, not deleted.
    """

    cleared: bool
    overridden: bool
    state: str
    who: str
    why: str
    at: datetime | None
    aside: tuple[str, ...]


def run(app: "App", *, by: str, reason: str, confirmed: str | None, override: bool = False) -> Report:
    """Clear the halt if its cause is gone, books and broker agree, and a person types the account's tail.

    With `override`, and for a strategy in shadow, nothing is compared. Instead, the reasons why the bot halted itself
    are accepted, even those hidden behind a person's halt, and an event records this. Damaged books prevent clearing in
    any case. Raises OperatorError: exit 2 without a confirmation, or for an override without a reason; 3 with a wrong
    confirmation, blocking findings, a cause that remains, or a newer halt.
    """
    simulated = app.folder.kind == SHADOW
    if simulated:
        # Each of its passes compares its books with its account, and only its bot can ask that.
        app.folder, override = app.folder._replace(kind="user"), True
    if override and reason.strip() in ("", NO_REASON):
        raise OperatorError("an override needs a reason, for the record", 'tradebot unhalt --override --reason "…"')
    before = app.ledger.trading_state()
    cleared = before.state is not TradingState.ACTIVE
    if cleared:
        _confirm(app, before, confirmed)

        def work() -> None:
            # Check for damage first: damaged books must not be compared or changed.
            app.ledger.file.check_whole()
            if not override:
                _require_agreement(app, by)
                _require_no_cause(app)
            why, accepted = accept_causes(app.ledger, before, reason) if override else (reason, None)
            opened = TradingStateRecord(TradingState.ACTIVE, by, why, app.stamp_time(), override=accepted)
            app.ledger.set_trading_state(opened, over=before)
            with suppress(OSError):
                # They were counted for the halt that this ends.
                forget_starts(app.folder.path)
            if override:
                _record_override(app, before, by, reason)

        under_pass_lock(app, "unhalt", work)
    aside = tuple(str(path) for path in displaced_halt_folders(app.folder.path))
    data = Unhalted(
        cleared, cleared and override and not simulated, before.state.value, before.who, before.why, before.at, aside
    )
    return Report("unhalt", data, _render)


def _record_override(app: "App", before: "TradingStateRecord", by: str, reason: str) -> None:
    """Write an event: if something goes wrong later, people look for overrides first."""
    details = {"by": by, "reason": reason, "halted_by": before.who, "halted_because": before.why}
    app.events.emit(EventKind.HALT_OVERRIDDEN.at(app.stamp_time(), details))


def _confirm(app: "App", before: "TradingStateRecord", confirmed: str | None) -> None:
    at = f" at {when(before.at)}" if before.at else ""
    who = f" by {clean(before.who)}" if before.who else ""
    console(err=True).print(f"In force: {before.state}{who}{at}: {clean(before.why)}", markup=False)
    for cause in hidden_halts(app.ledger.halts(), before):
        console(err=True).print(f"Also in force: {clean(cause.why)}", markup=False)
    confirm_for(app, confirmed, what="Ending the halt", command="tradebot unhalt")


def _require_agreement(app: "App", by: str) -> None:
    """Reconcile as `tradebot reconcile` does; raise OperatorError if a finding would keep entries blocked anyway."""
    result = compare(app, by)
    blocking = "; ".join(f"{clean(f.subject)}: {f.meaning}" for f in result.findings if f.blocking)
    if blocking:
        # Not every finding has a plan: some wait for the broker, or for a person to decide.
        settle = f"run tradebot reconcile --apply {result.plan.id}" if result.plan else "do what they say"
        raise OperatorError(
            f"the books and the broker differ: {blocking}",
            f"run tradebot reconcile and read its findings, {settle}, then run tradebot unhalt; "
            'if that is impossible: tradebot unhalt --override --reason "…"',
            code=ExitCode.REFUSED,
        )


def _require_no_cause(app: "App") -> None:
    causes = remaining_causes(app.world(dry_run=True, proposing=False))
    if causes:
        raise OperatorError(
            f"the bot would halt itself again: {clean(causes)}",
            'wait until that ends, or accept it and say why: tradebot unhalt --override --reason "…"',
            code=ExitCode.REFUSED,
        )


def _render(console: "Console", data: Unhalted) -> None:
    if not data.cleared:
        console.print("Nothing was halted. If entries are still blocked, see: tradebot status")
        return
    console.print(f"[green]ACTIVE[/green]: {data.state} has ended; entries may be sent again.")
    if data.overridden:
        console.print("The books were not compared, so entries wait for tradebot reconcile.", markup=False)
    for path in data.aside:
        console.print(
            f"{path} is a folder where the HALT file belongs. It isn't empty, so it was left in place.", markup=False
        )
    console.print("Next: tradebot status")
