"""Run `tradebot score`: score the universe from the facts known now, without trading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict
from rich.console import Console
from rich.markup import escape

from commands.score.explanation import draw, explain_score, render
from commands.shared.ask_strategies import asking_world, under_pass_lock
from commands.shared.files import picture_file
from commands.shared.number_format import format_signed
from commands.shared.pass_reports import CandidateRow, PassData, begin, both_clocks, legend, pass_data
from commands.shared.tables import Table, number, sentence
from commands.shared.times import MINUTE, moment, stamp, when, zone
from commands.shared.verb_options import Report, identity, progress_bar
from jobs.slot_claims import SlotRefused
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app.facts_replay import ReplayedFacts, world_as_of
from tradebot.app.wiring import App
from tradebot.desk.proposals import propose, score
from tradebot.desk.strategy_views import ViewBuilder
from tradebot.errors import OperatorError, word
from tradebot.model.candidate import Purpose
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.sentences import pluralize
from tradebot.ports.strategy import VariedStrategy
from tradebot.ports.world import Progress
from tradebot.views.score_diff import Moved, MovedCandidate, diff_scores

SHORT = {"dark_pool": "dark", "market_tide": "tide", "greek_exposure": "gamma", "iv_rank": "iv", "oi_change": "oi"}
"""Component names shortened for a narrow column."""
DOT = "·"


def show(console: Console, data: PassData) -> None:
    """Print the scores as a table, strongest first."""
    # A plug-in may name no components, or only some.
    names = list(dict.fromkeys(component.name for row in data.rows for component in row.components))
    several = len({row.strategy for row in data.rows}) > 1
    numbers = (number(name) for name in ("score", "coverage", *(SHORT.get(name, name) for name in names)))
    table = Table("symbol", *(("strategy",) if several else ()), *numbers, "result")
    for row in data.rows:
        who = (row.symbol, row.strategy) if several else (row.symbol,)
        components = {c.name: c.value for c in row.components}
        coverage = DOT if row.coverage is None else f"{row.coverage:.0%}"
        table.row(*who, _colored_score(row), coverage, *_values(names, components), row.reason or _want_text(row))
    dot = "; a dot means no data" if any(DOT in cells for cells, _ in table.rows) else ""
    console.print(f"Scores at {when(data.at)}, from -1 (bearish) to 1 (bullish){dot}")
    console.print(table)
    legend(console, data)


def _values(names: Sequence[str], components: Mapping[str, float | None]) -> Iterator[str]:
    for name in names:
        value = components.get(name)
        yield DOT if value is None else format_signed(value, 2)


def _want_text(row: CandidateRow) -> str:
    """Return the want of an accepted row: something to enter, or a position that its strategy wants to close."""
    return "candidate" if row.purpose == Purpose.OPEN else f"wants to {row.purpose}"


def _colored_score(row: CandidateRow) -> str:
    if row.score is None:
        return DOT
    colour = "green" if row.score > 0 else "red" if row.score < 0 else "dim"
    return f"[{colour}]{format_signed(row.score, 3)}[/{colour}]"


def run(app: App, *, by: str) -> Report:
    """Score every symbol, record the scores, and report them strongest first."""
    clocks = both_clocks(app, Job.SCORE, dry_run=False)
    # Built before the slot is claimed, so that a missing strategy doesn't use up the slot.
    world = asking_world(app, "score")
    call, clocks = under_pass_lock(app, "score", lambda: begin(app, Job.SCORE, by, clocks=clocks))
    assert not isinstance(call, SlotRefused), "a score is never refused"
    data = pass_data(app, score(world, call, clocks.clock))
    return Report("score", data, show)


def explain_one(app: App, symbol: str, plot: Path | None) -> Report:
    picture = picture_file(plot, "score.svg")
    data = explain_score(app, symbol)
    if picture:
        draw(data, picture)
    return Report("score-explain", data, render)


def outcomes_of(app: App, since: str | None) -> Report:
    from commands.score.outcomes import day_of, measure_outcomes, render

    with progress_bar("measuring sessions") as progress:
        data = measure_outcomes(app, day_of(since) if since else None, progress)
    return Report("score-outcomes", data, render)


def refuse_combinations(chosen: Sequence[object], plot: Path | None, since: str | None, at: str | None) -> None:
    explain, outcomes, _, session, _ = chosen
    if plot and not explain:
        raise OperatorError("--plot needs --explain", "tradebot score --explain AAPL --plot aapl.svg")
    if since and not outcomes:
        raise OperatorError("--since belongs to --outcomes", f"tradebot score --outcomes --since {since}")
    if at and not session:
        raise OperatorError("--at needs the session that it belongs to", "tradebot score --from SESSION --at 10:30")
    if sum(map(bool, chosen)) > 1:
        raise OperatorError("--explain, --outcomes, --diff, --from and --variants can't be combined", "use one of them")


class ScoredAgain(ReplayedFacts, frozen=True):
    """The scores at a past time with today's configuration."""

    scores: PassData


def run_past_session(app: App, session: str, at: str | None, progress: Progress) -> Report:
    """Score the universe as it was known at a time in a past session.

    Raises OperatorError if no data of that session is stored.
    """
    day = day_of(session)
    with world_as_of(app, day, _moment(day, at), progress) as (world, past):
        proposed = propose(world, past.at)
    records = tuple(CandidateRecord(candidate, candidate.decisions) for candidate in proposed.candidates)
    slot = f"at {past.at:%H:%M:%SZ}"
    cycle = CycleRecord(f"again.{day}.{slot}", Job.SCORE, day, slot, past.at, app.mode_name, records, dry_run=True)
    data = ScoredAgain(**asdict(past), scores=pass_data(app, cycle))
    return Report("score-from", data, _render_past_session, bot_identity=identity(app))


def day_of(text: str) -> date:
    """Return the date of a session as a person typed it; raise OperatorError if it is invalid."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"{text[:40]!r} is not a session", "write its date: 2026-11-16") from None


def _moment(day: date, text: str | None) -> datetime | None:
    if text is None:
        return None
    return moment(text if len(text) > len("HH:MM:SS.ffffff") else f"{day} {text}")


def _render_past_session(console: Console, data: ScoredAgain) -> None:
    console.print(
        f"Session {data.session} from {pluralize(data.replies, 'stored reply', 'stored replies')}; nothing is recorded"
    )
    if data.unreadable:
        console.print(f"  {pluralize(data.unreadable, 'reply', 'replies')} had no readable rows")
    if not data.complete:
        console.print("  Replies of earlier days are no longer stored, so facts of these days may be missing.")
    for name in data.left_out:
        console.print(f"  {name} is left out: it reads quotes or the account, which aren't stored", markup=False)
    show(console, data.scores)


class FilterVariant(Struct, frozen=True):
    """A changed setting, and the symbols that pass the strategy's own filters only because of the change.

    `fewer` are the symbols that pass only without the change.
    """

    setting: str
    passing: int
    more: tuple[str, ...]
    fewer: tuple[str, ...]


class VariedScore(Struct, frozen=True):
    """One strategy: its number of symbols, those that pass its own filters now, and what each variant changes."""

    strategy: str
    seen: int
    passing: tuple[str, ...]
    variants: tuple[FilterVariant, ...]


class Variants(Struct, frozen=True):
    """The strategies' results at `at` with changed settings, without recording them or evaluating the core's gates.

    `without` are the strategies that have no variants.
    """

    at: datetime
    strategies: tuple[VariedScore, ...]
    without: tuple[str, ...]


def run_variants(app: App) -> Report:
    """Run each strategy that has variants, without recording anything."""
    world, now = app.world(dry_run=True), app.now()
    sights = ViewBuilder(world, now, app.strategies)
    scores, without = [], []
    for strategy in app.strategies:
        if not isinstance(strategy, VariedStrategy):
            without.append(strategy.name)
            continue
        view = sights.of(strategy).view
        base, *others = strategy.variants(view)
        passing = frozenset(base.passing)
        variants = tuple(
            FilterVariant(
                other.setting,
                len(other.passing),
                tuple(symbol for symbol in other.passing if symbol not in passing),
                tuple(symbol for symbol in base.passing if symbol not in other.passing),
            )
            for other in others
        )
        scores.append(VariedScore(strategy.name, len(view.universe), tuple(base.passing), variants))
    return Report("score-variants", Variants(now, tuple(scores), tuple(without)), _render_variants)


SHOWN = 6
"""How many symbols of a variant a screen names; the document has all of them."""


def _render_variants(out: Console, data: Variants) -> None:
    out.print(f"Entries wanted at {when(data.at)} with one setting changed, before the account's gates")
    for scored in data.strategies:
        of = pluralize(scored.seen, "symbol")
        out.print(f"Strategy {scored.strategy}: {len(scored.passing)} of {of} pass its own filters now", markup=False)
        table = Table("setting", number("pass"), number("more"), number("fewer"), "which more")
        for row in scored.variants:
            named = ", ".join(row.more[:SHOWN]) + (f" and {len(row.more) - SHOWN} others" if row.more[SHOWN:] else "")
            table.row(escape(row.setting), f"{row.passing}", f"{len(row.more)}", f"{len(row.fewer)}", escape(named))
        out.print(table)
    for name in data.without:
        out.print(f"Strategy {name} has no variants.", markup=False)


NAMED = {"last": 1, "previous": 2}
"""Passes that have a name, by their place from the end."""
OFFERED = 3
REFUSED_BETWEEN = 20
"""How many passes are read for each that is wanted."""
LOOKED_BACK = timedelta(days=7)
PARTS = 6
"""How many components a row names; the document has all of them."""


def run_diff(app: App, before: str, after: str) -> Report:
    """Compare two recorded passes; raise OperatorError for an unknown one, and name the newest pass in it."""
    facts = app.existing_facts
    data = diff_scores(*(_pass(facts, name) for name in (before, after)))
    return Report("score-diff", data, _render_diff, bot_identity=identity(app))


def _pass(facts: SqliteFacts | None, name: str) -> CycleRecord:
    if facts is None:
        raise OperatorError("no pass is recorded yet", "tradebot score")
    cycle = _find_cycle(facts, name.strip())
    if cycle is not None:
        return cycle
    raise OperatorError(f"{word(name)} names no recorded pass that scored anything", _hint(_newest(facts, OFFERED)))


def _hint(newest: Sequence[CycleRecord]) -> str:
    if not newest:
        return "tradebot score"
    ids = ", ".join(repr(cycle.id) for cycle in newest)
    # A time without a zone is read as the venue's.
    at = stamp(newest[-1].at, MINUTE) + ("Z" if zone() == "UTC" else "")
    return f"the newest: {ids}; previous, last, and a date and time such as '{at}' work too"


def _find_cycle(facts: SqliteFacts, name: str) -> CycleRecord | None:
    if name in NAMED:
        newest = _newest(facts, NAMED[name])
        return newest[0] if len(newest) == NAMED[name] else None
    cycle = facts.cycle(name)
    if cycle is not None:
        return cycle if cycle.candidates else None
    try:
        until = moment(name)
    except OperatorError:
        return None
    earlier = [head for head in facts.passes(until - LOOKED_BACK) if head.at <= until and _scores(head)]
    return facts.cycle(earlier[-1].id) if earlier else None


def _newest(facts: SqliteFacts, count: int) -> Sequence[CycleRecord]:
    # A refused pass has no scores, so read more passes than requested.
    cycles = [
        cycle
        for job in (Job.SCORE, Job.TRADE_ONCE)
        for cycle in facts.cycles(job=job, last=count * REFUSED_BETWEEN)
        if cycle.candidates
    ]
    return sorted(cycles, key=lambda cycle: cycle.at)[-count:]


def _scores(head: CycleRecord) -> bool:
    return head.job in {Job.SCORE, Job.TRADE_ONCE} and head.job_decision is None


def _render_diff(out: Console, data: Moved) -> None:
    out.print(
        f"From {data.before.id} ({when(data.before.at)}) to {data.after.id} ({when(data.after.at)}): "
        f"{data.moved:,} of {pluralize(len(data.rows), 'candidate')} moved",
        markup=False,
    )
    several = len({row.strategy for row in data.rows}) > 1
    who = ("symbol", "strategy") if several else ("symbol",)
    table = Table(
        *who, number("before"), number("after"), number("change"), "side", "result", sentence("mainly", "mainly")
    )
    for row in data.rows:
        if row.has_moved:
            name = (row.symbol, row.strategy) if several else (row.symbol,)
            table.row(
                *name,
                _plain_score(row.score_before),
                _plain_score(row.score_after),
                format_signed(row.change, 3),
                _arrow(row.side_before, row.side_after),
                _arrow(row.result_before, row.result_after),
                ", ".join(_parts(row)),
            )
    if table.rows:
        out.print(table)


def _parts(row: MovedCandidate) -> Iterator[str]:
    for part in row.components[:PARTS]:
        if part.change:
            yield f"{part.name} {format_signed(part.change, 3)}"


def _plain_score(score: float | None) -> str:
    return DOT if score is None else format_signed(score, 3)


def _arrow(before: str | None, after: str | None) -> str:
    return f"{before}" if before == after else f"{before or DOT} -> {after or DOT}"
