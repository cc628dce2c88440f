"""The data and screen of `tradebot health`: the state of each part of the bot, and a summary."""

from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.evidence import evidence_of
from commands.shared.light_helpers import Identity
from commands.shared.number_format import color_state
from commands.shared.tables import table
from commands.shared.verb_options import Report, identity
from tradebot.errors import ExitCode
from tradebot.judging.judgment import HealthState, Judgment, count_parts, worst_state
from tradebot.judging.pass_health import judge_passes

if TYPE_CHECKING:
    from tradebot.app.wiring import App


class Health(Struct, frozen=True):
    """A judgment of each part, the worst state among them, and a sentence that sums them up."""

    state_dir: str
    state: HealthState
    summary: str
    judgments: tuple[Judgment, ...]


def summary(judgments: tuple[Judgment, ...]) -> str:
    """Return how many parts are OK, and the names of those that need something, worst first."""
    parts = [count_parts(judgments)]
    for state in reversed(HealthState):
        names = [judgment.subject for judgment in judgments if judgment.state is state]
        if names and state not in (HealthState.OK, HealthState.NOT_DUE):
            parts.append(f"{state} {', '.join(names)}")
    return "; ".join(parts)


def show(console: "Console", data: Health, bot_identity: Identity) -> None:
    """Print the summary and the judgments."""
    console.print(
        f"[bold]{bot_identity.mode}[/bold], {bot_identity.venue_and_account}, state {escape(data.state_dir)}; "
        "the broker was not queried"
    )
    console.print(f"Health {color_state(data.state)}: {data.summary}")
    console.print(table(data.judgments))


def run(app: "App", *, probe: bool = False) -> Report:
    """Judge every part by the bot's own records; exit 10 if any part has FAILED.

    With `probe`, exit 10 if anyone has to act.
    """
    judgments = judge_passes(evidence_of(app))
    state, bot_identity = worst_state(judgments), identity(app)
    data = Health(str(app.folder.path), state, summary(judgments), judgments)

    def render(console: "Console", data: Health) -> None:
        if not probe:
            show(console, data, bot_identity)
            return
        console.print(f"{state}: {data.summary}", markup=False, soft_wrap=True)

    code = ExitCode.FINDINGS if state is HealthState.FAILED or (probe and state.is_finding) else ExitCode.DONE
    return Report("health", data, render, code, bot_identity)
