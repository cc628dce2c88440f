"""Read the evidence for `tradebot signals` from the bot's own records; nothing is requested and nothing is written."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape

from commands.shared.bot_records import age_reference_time, last_passes
from commands.shared.evidence import judged_since, moment_of
from commands.shared.light_helpers import clean
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import DAY_SECOND, stamp, when, zone
from tradebot.adapters.facts.history import AnswerCounts
from tradebot.adapters.state.events import worth_seeing
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.wiring import App
from tradebot.judging.evidence import TradingMoment
from tradebot.judging.signal_health import KindEvidence, KindHealth, SignalHealth, SignalsHealth, signals
from tradebot.model.event import EventKind, SystemEvent
from tradebot.model.fact_kind import AnyKind, CheckedReply, NullCounts
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.record import CycleRecord, Job
from tradebot.model.sentences import pluralize
from tradebot.signals.components import component_names, component_of
from tradebot.signals.contracts import more_nulls

STYLE = {
    SignalHealth.HEALTHY: "green",
    SignalHealth.DEGRADED: "yellow",
    SignalHealth.CRITICAL: "red",
    SignalHealth.UNKNOWN: "dim",
}
NOTHING = "·"


def show(console: "Console", data: "SignalsHealth") -> None:
    """Print both tables, then each difference with an example."""
    session = "" if data.market_open else "; the market is closed"
    console.print(f"Signals at {when(data.as_of)}{session}")
    if not data.kinds:
        console.print("No strategy in use reads options flow.")
        return
    console.print(_show_kinds(data))
    if data.components and data.scored_at:
        console.print(f"Components of the scores at {when(data.scored_at)}")
        console.print(_components(data))
    else:
        console.print("Nothing was scored yet. Next: tradebot score")
    for kind in data.kinds:
        for drift in kind.drifts:
            mark = "[red]broken[/red]" if drift.broken else "[yellow]differs[/yellow]"
            console.print(f"  {mark} {escape(drift.what)}, such as {escape(clean(drift.example))}")
    count_text = pluralize(data.findings, "signal")
    console.print(f"{count_text} to look at" if data.findings else "Nothing to look at.")


def _show_kinds(data: "SignalsHealth") -> Table:
    numbers = (number(name) for name in ("calls", "rows", "match", "nulls", "bad rows", "age s", "limit s"))
    table = Table("state", last_folded_column("source"), *numbers, f"last reply {zone()}", sentence("why"))
    for kind in data.kinds:
        name = f"{kind.name} (core)" if kind.core else kind.name
        calls = f"{kind.answered:,}/{kind.wanted:,}"
        shares = (_share(kind.match_rate), _share(kind.null_rate))
        table.row(
            _state(kind.state), name, calls, f"{kind.rows:,}", *shares, f"{kind.bad:,}", _age(kind),
            f"{kind.limit_s:,.0f}", stamp(kind.last_success, DAY_SECOND) if kind.last_success else NOTHING,
            escape(clean(kind.why)),
        )  # fmt: skip
    return table


def _components(data: "SignalsHealth") -> Table:
    table = Table(
        "state", last_folded_column("component"), number("weight"), number("used"), "strategy", sentence("why")
    )
    for part in data.components:
        used = f"{part.used:,}/{part.symbols:,}"
        table.row(
            _state(part.state), escape(part.name), f"{part.weight:g}", used, escape(part.strategy),
            escape(clean(part.why)),
        )  # fmt: skip
    return table


def _state(state: SignalHealth) -> str:
    return f"[{STYLE[state]}]{state}[/]"


def _share(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.1%}"


def _age(kind: "KindHealth") -> str:
    return NOTHING if kind.age_s is None else f"{kind.age_s:,.0f}"


USUAL = timedelta(days=7)
"""The usual share of nulls is measured over this period, which ends where the judged one begins."""
NONE = NullCounts(0, {})


def read(app: "App") -> SignalsHealth:
    """Evaluate the records of each kind of facts that strategies in use need, and the last scores."""
    scores = _last_scores(app)
    now = _now(app, scores)
    moment = moment_of(app.ledger_view, now, judged_since(app.ledger_view, now))
    kinds = _kinds(app, moment)
    return signals(moment, app.settings.tightest_limits.max_foreign_share, kinds, scores, _reads(scores))


def _answers(app: "App", since: datetime) -> "Sequence[AnswerCounts]":
    return app.existing_facts.answers(since) if app.existing_facts else ()


def _last_scores(app: "App") -> "CycleRecord | None":
    if app.existing_facts is None:
        return None
    cycles = (cycle for job in (Job.SCORE, Job.TRADE_ONCE) for cycle in app.existing_facts.cycles(job=job, last=1))
    return max((cycle for cycle in cycles if cycle.candidates), key=lambda cycle: cycle.at, default=None)


def _now(app: "App", scores: "CycleRecord | None") -> datetime:
    mark, passes, answers = (
        app.ledger_view.last_reconcile(),
        last_passes(app.existing_facts),
        _answers(app, datetime.now(UTC)),
    )
    recorded = (
        scores.at if scores else None,
        mark.at if mark else None,
        *(cycle.at for cycle in passes),
        *(row.at for row in answers),
    )
    return age_reference_time(app, recorded) or datetime.now(UTC)


def _kinds(app: "App", moment: TradingMoment) -> Iterator[KindEvidence]:
    facts, now, since = app.existing_facts, moment.now, moment.since
    counts: dict[str, list[AnswerCounts]] = defaultdict(list)
    replies: dict[str, list[CheckedReply]] = defaultdict(list)
    for row in _answers(app, since):
        counts[row.endpoint].append(row)
    for reply in facts.checked_replies(since, now) if facts else ():
        replies[reply.endpoint].append(reply)
    nulls = facts.nulls(since, now + timedelta(seconds=1)) if facts else {}
    usual = facts.nulls(since - USUAL, since) if facts else {}
    failures = _failures(app, since, now)
    for kind, symbols in app.needed_facts.items():
        subjects: set[str | None] = {None} if kind.market_wide else set(symbols)
        subject_counts = [row for row in counts[kind.name] if row.symbol in subjects]
        failed = _since_last_reply(failures.get(kind.name, ()), subject_counts)
        yield KindEvidence(
            kind=kind,
            wanted=len(subjects),
            at=tuple(row.at for row in subject_counts),
            limit_s=_limit_s(app, kind),
            interval_s=kind.interval_s(app.rules.poll_s),
            replies=tuple(reply for reply in replies[kind.name] if reply.symbol in subjects),
            received=sum(row.received for row in subject_counts),
            foreign=sum(row.foreign for row in subject_counts),
            rejected=sum(row.rejected for row in subject_counts),
            failed=len(failed),
            failure=failed[-1].details.get("message", "") if failed else "",
            nulls=nulls.get(kind.name, NONE),
            more_nulls=more_nulls(kind.name, nulls.get(kind.name, NONE), usual.get(kind.name, NONE)),
        )


def _limit_s(app: "App", kind: "AnyKind") -> float:
    """Return the maximum age of a reply: alerts have their own limit; others may miss one renewal."""
    if kind.name == FLOW_ALERTS:
        return app.settings.tightest_limits.max_flow_age_s
    return kind.max_age_s or 2.0 * kind.interval_s(app.rules.poll_s)


def _failures(app: "App", since: datetime, now: datetime) -> "Mapping[str, list[SystemEvent]]":
    by_subject: dict[str, list[SystemEvent]] = defaultdict(list)
    for event in worth_seeing(app.folder.path / EVENTS, ((since, now),))[1]:
        if event.event_type == EventKind.FETCH_FAILED.event_type:
            by_subject[event.details.get("endpoint", "")].append(event)
    return by_subject


def _since_last_reply(failures: "Sequence[SystemEvent]", replies: "Sequence[AnswerCounts]") -> "list[SystemEvent]":
    last = {row.symbol: row.at for row in replies}
    return [event for event in failures if event.symbol not in last or event.timestamp >= last[event.symbol]]


def _reads(scores: "CycleRecord | None") -> dict[str, tuple[str, ...]]:
    """Return the kinds that each component of the last scores reads; those of plug-ins aren't known."""
    names = {part.name for record in scores.candidates for part in record.candidate.components} if scores else set()
    components = names & set(component_names())
    return {name: tuple(kind.name for kind in component_of(name).reads) for name in components}
