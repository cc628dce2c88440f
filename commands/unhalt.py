"""`tradebot unhalt`: let risk be added again, once books and broker agree and a person has said so."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.plain import clean, confirm
from commands.surface import Config, Json, Report, StateDir, caller, finish, opened
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.model.trading import TradingStateRecord
    from tradebot.reconciling import Reconciled
    from tradebot.wiring import App


@dataclass(frozen=True, slots=True)
class Unhalted:
    """What was in force before, at a person's own clock; `cleared` is False where nothing was halted."""

    cleared: bool
    state: str
    who: str
    why: str
    at: datetime | None


def run(app: "App", *, by: str, reason: str, confirmed: str | None) -> Report:
    """Clear the halt where the account's tail is typed and a comparison made now leaves nothing that blocks.

    Raises OperatorError: exit 2 without a confirmation, 3 with a wrong one, blocking findings, or a newer halt.
    """
    from tradebot.model.trading import TradingState

    before = app.ledger.trading_state()
    cleared = before.state is not TradingState.ACTIVE
    if cleared:
        _confirm(app, before, confirmed)
        with app.pass_lock("unhalt"):
            _compared(app, by)
            app.ledger.set_trading_state(TradingState.ACTIVE, by, reason, datetime.now(UTC), over=before)
    data = Unhalted(cleared, before.state.value, before.who, before.why, before.at)
    return Report("unhalt", data, lambda console: _render(console, data), mode=app.mode_name, account=app.account_tail)


def _confirm(app: "App", before: "TradingStateRecord", confirmed: str | None) -> None:
    from commands.surface import console
    from tradebot.model.trading import Mode

    at = f" at {before.at:%Y-%m-%d %H:%M:%S} UTC" if before.at else ""
    who = f" by {clean(before.who)}" if before.who else ""
    console(err=True).print(f"In force: {before.state}{who}{at}: {clean(before.why)}", markup=False)
    live = app.mode is Mode.LIVE
    confirm(app.account_tail, confirmed, what="Ending the halt", command="tradebot unhalt", by_hand=live)


def _compared(app: "App", by: str) -> None:
    """Reconcile as its own verb does; raise where what differs would shut entries anyway."""
    from commands.reconcile import compare

    blocking = _blocking(compare(app, by))
    if blocking:
        raise OperatorError(
            f"the books and the broker differ: {blocking}",
            "tradebot reconcile, read the findings, tradebot reconcile --apply PLAN, then tradebot unhalt",
            code=ExitCode.REFUSED,
        )


def _blocking(result: "Reconciled") -> str:
    return "; ".join(f"{clean(f.subject)}: {f.meaning}" for f in result.findings if f.blocking)


def _render(console: "Console", data: Unhalted) -> None:
    if not data.cleared:
        console.print("Nothing was halted. Next: tradebot status shows what else may keep entries shut")
        return
    console.print(f"[green]ACTIVE[/green]: {data.state} is ended, entries may be sent again.")
    console.print("Next: tradebot status")


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("unhalt", epilog='Example: tradebot unhalt --reason "feed is back"')
    def unhalt(
        reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "no reason given",
        confirmed: Annotated[
            str | None,
            typer.Option("--confirm", help="The account's last four characters, where no terminal asks."),
        ] = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Let risk be added again; needs books that agree with the broker's, and a typed confirmation."""
        with opened(state_dir, config) as bot:
            report = run(bot, by=caller(), reason=reason, confirmed=confirmed)
        finish(report, as_json)
