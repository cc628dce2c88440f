"""The report of `tradebot doctor`, and its screen."""

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.judgment_table import counts, table
from commands.shared.light_helpers import Identity
from tradebot.judging.judgment import Judgment


class DoctorHealth(Struct, frozen=True):
    """The judgments, and how many have each state; `asked` is True if broker and flow source were contacted."""

    state_dir: str
    asked: bool
    states: dict[str, int]
    judgments: tuple[Judgment, ...]


def show(console: "Console", data: DoctorHealth, whose: Identity) -> None:
    """Print whose bot was checked, the judgments, and how many have each state."""
    about = f"{whose.mode}, {whose.place}, state" if whose.mode else "state"
    asked = "broker and flow source contacted" if data.asked else "offline: broker and flow source not contacted"
    console.print(f"[bold]{about}[/bold] {escape(data.state_dir)}; {asked}")
    console.print(table(data.judgments))
    console.print(counts(data.states))
