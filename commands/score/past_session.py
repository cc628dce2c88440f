"""`score --from SESSION`: score a past session again from the replies that were kept, recording nothing."""

from datetime import date, datetime

from msgspec.structs import asdict
from rich.console import Console

from commands.score.screen import show
from commands.shared.pass_reports import PassData, pass_data
from commands.shared.times import moment
from commands.shared.verb_options import Report, identity
from tradebot.app.facts_replay import ReplayedFacts, past_of
from tradebot.app.wiring import App
from tradebot.desk.proposals import propose
from tradebot.errors import OperatorError
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.text import pluralize
from tradebot.ports.world import Progress


class ScoredAgain(ReplayedFacts, frozen=True):
    """The scores of a past time by today's configuration."""

    scores: "PassData"


def run(app: "App", session: str, at: str | None, progress: "Progress") -> Report:
    """Score the universe as known at a time of a session; raise OperatorError if nothing is stored of it."""
    day = day_of(session)
    with past_of(app, day, _moment(day, at), progress) as (world, past):
        proposed = propose(world, past.at)
    records = tuple(CandidateRecord(candidate, candidate.decisions) for candidate in proposed.candidates)
    slot = f"at {past.at:%H:%M:%SZ}"
    cycle = CycleRecord(f"again.{day}.{slot}", Job.SCORE, day, slot, past.at, app.mode_name, records, dry_run=True)
    data = ScoredAgain(**asdict(past), scores=pass_data(app, cycle))
    return Report("score-from", data, _render, whose=identity(app))


def day_of(text: str) -> date:
    """Return the date of a session as a person typed it; OperatorError if it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"{text[:40]!r} is not a session", "write its date: 2026-11-16") from None


def _moment(day: date, text: str | None) -> datetime | None:
    if text is None:
        return None
    return moment(text if len(text) > len("HH:MM:SS.ffffff") else f"{day} {text}")


def _render(console: "Console", data: ScoredAgain) -> None:
    console.print(
        f"Session {data.session} from {pluralize(data.replies, 'kept reply', 'kept replies')}; nothing is recorded"
    )
    if data.unreadable:
        console.print(f"  {pluralize(data.unreadable, 'reply', 'replies')} had no readable rows")
    if not data.complete:
        console.print("  Replies of earlier days are no longer kept, so facts of these days may be missing.")
    for name in data.left_out:
        console.print(f"  {name} is left out: it reads quotes or the account, which aren't kept", markup=False)
    show(console, data.scores)
