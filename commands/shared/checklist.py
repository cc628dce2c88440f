"""The steps from paper to real money: what each requires, and what is missing. Orders don't depend on them."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from commands.drill import FOLDER
from commands.drill.drills import DRILLS
from commands.drill.drills import read as read_drills
from commands.shared.evidence import evidence_of
from commands.shared.light_helpers import caller, clean
from commands.shared.times import when
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.events import worth_seeing
from tradebot.adapters.state.state_folder import EVENTS, StateFolder, option, read_marker
from tradebot.app.keys import confirmation_code
from tradebot.app.venue_connection import addresses_of
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError
from tradebot.judging.judgment import HealthState
from tradebot.judging.pass_health import judge_passes
from tradebot.model.event import EventKind
from tradebot.model.position import Position, add, round_trip
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize, span
from tradebot.model.trading import Mode, TradingState

GAP = timedelta(minutes=5)
"""The longest pause between two passes that reached the venue for which the connection counts as unbroken."""
CRASHES = frozenset({EventKind.JOB_FAULT, EventKind.CEILING_REACHED, EventKind.LANE_STALLED})
CRASH_HALTS = frozenset({Reason.PASS_FAULT, Reason.CRASH_LOOP})


class PaperEvidence(NamedTuple):
    """How long passes have reached the venue since the last crash, and the longest stretch of that without a gap.

    `crashed_at` is the time of that crash, None if there was none.
    """

    connected: timedelta
    unbroken: timedelta
    crashed_at: datetime | None


def load_paper_evidence(folder: Path, ledger: SqliteLedger) -> PaperEvidence:
    """Return the evidence from a bot's events and books; each claimed slot shows that the venue responded."""
    began = ledger.books_opened_at()
    if began is None:
        return PaperEvidence(timedelta(), timedelta(), None)
    crashed_at = max(_crashes(folder, ledger, began), default=None)
    spans = [timedelta()]
    for before, after in pairwise(_times_reached(ledger, max(began, crashed_at or began))):
        if after - before > GAP:
            spans.append(timedelta())
        spans[-1] += after - before if after - before <= GAP else timedelta()
    return PaperEvidence(sum(spans, timedelta()), max(spans), crashed_at)


def _times_reached(ledger: SqliteLedger, since: datetime) -> list[datetime]:
    days, jobs = ledger.sessions(since.date() - timedelta(days=1), ALWAYS.date()), set(Job)
    claims = (claim for day in days for claim in ledger.slot_claims(day.date))
    return sorted(end.at for end in claims if end.missed_reason is None and end.job in jobs and end.at >= since)


def _crashes(folder: Path, ledger: SqliteLedger, began: datetime) -> Iterator[datetime]:
    _, events = worth_seeing(folder / EVENTS, [(began, ALWAYS)], CRASHES)
    yield from (event.timestamp for event in events if event.event_type in {kind.event_type for kind in CRASHES})
    yield from (record.at for record in ledger.states_since(began, ALWAYS) if record.at and record.causes & CRASH_HALTS)


SESSIONS, TRADES = 20, 10
"""A month on paper, and enough trades to have seen how they end."""
READ, RESTORED = "notices read on", "backup restored"
"""The names of completed steps, recorded as claims in the ledger. No entry of the timetable has a space in its name."""
ALWAYS = datetime.max.replace(tzinfo=UTC)


class Step(Struct, frozen=True):
    """A step before real money: whether it is done, the current number, the number required, and the next command."""

    name: str
    done: bool
    found: str
    needed: str
    next: str


class _Paper(NamedTuple):
    """The paper bot to check, and the option that names its folder if it isn't the bot in use."""

    folder: StateFolder
    ledger: SqliteLedger
    at: str


Look = tuple[str, str]
"""The current state of a step, and the next command; empty if it is done."""
Wanted = tuple[str, str, Callable[[_Paper], Look]]
"""The name of a step, its requirement, and the function that checks it."""


def remember(app: "App", what: str, which: str) -> None:
    """Record that a person has just done something, such as confirming a notice channel; `which` says which one."""
    with app.pass_lock("live status"):
        at = app.stamp_time()
        app.ledger.claim_slot(what, at.date(), which, caller(), at)


def steps(app: "App", paper: Path | None) -> tuple[Step, ...]:
    """Return every step; `paper` is the folder of the paper bot, None if that is the bot in use.

    Raises OperatorError if the folder isn't a paper bot's.
    """
    return (*_on_paper(app, paper, (*PAPER, *_rehearsal(app))), *_here(app))


def rehearsal(app: "App", paper: Path | None) -> tuple[Step, ...]:
    """Return the steps that the venue requires before a live bot can be armed; most venues require none.

    Raises OperatorError if the folder isn't a paper bot's at this venue.
    """
    wanted = tuple(_rehearsal(app))
    if wanted and paper is not None and read_marker(paper).venue != app.folder.venue:
        raise OperatorError(f"{paper} is at another venue", f"name the folder of your paper bot at {app.folder.venue}")
    return tuple(_on_paper(app, paper, wanted))


def _rehearsal(app: "App") -> Iterator[Wanted]:
    needs = app.driver.rehearsal
    if needs is None:
        return
    hours = f"passes reached the broker for {needs.hours} hours without a crash, breaks not counted"
    yield "hours on paper", hours, partial(_hours, needs.hours)
    unbroken = (
        f"passes reached the broker for {span(needs.unbroken_s)} without a gap of more than {span(GAP.total_seconds())}"
    )
    yield "unbroken connection", unbroken, partial(_unbroken, needs.unbroken_s)
    yield (
        "trades of the rehearsal",
        f"{needs.trades} positions that the bot opened and closed",
        partial(_look_at_trades, needs.trades),
    )


def _on_paper(app: "App", paper: Path | None, wanted: Sequence[Wanted]) -> Iterator[Step]:
    folder = app.folder if paper is None else read_marker(paper)
    if folder.mode != Mode.PAPER:
        if paper is not None:
            raise OperatorError(f"{paper} has a {folder.mode} bot", "name the folder of your paper bot after --paper")
        finding, which = "not counted: this bot isn't on paper", "tradebot live status --paper FOLDER"
        yield from (Step(name, False, finding, needed, which) for name, needed, _ in wanted)
        return
    at = "" if paper is None else f" {option(paper)}"
    try:
        with closing(SqliteLedger.view(folder.path, folder.account_number)) as ledger:
            for name, needed, look in wanted:
                yield _step(name, needed, partial(look, _Paper(folder, ledger, at)))
    except TradebotError as error:
        yield Step("paper bot", False, clean(error.message), "its books can be read", error.hint)


def _here(app: "App") -> Iterator[Step]:
    judgments = {judgment.subject: judgment for judgment in judge_passes(evidence_of(app), ("broker", "signals"))}

    def answers(subject: str) -> Look:
        if subject == "signals" and not app.needed_facts:
            return "no strategy in use reads options flow", ""
        judgment = judgments[subject]
        return clean(judgment.found), "" if judgment.state is HealthState.OK else judgment.next or "tradebot serve"

    yield _step("notices", "each channel's test message was read by a person", partial(_notices, app))
    yield _step("broker's answers", "the last passes could use all of the broker's answers", partial(answers, "broker"))
    needed = "the source's last replies have the fields that it documents"
    yield _step("flow source's answers", needed, partial(answers, "signals"))


def _step(name: str, needed: str, look: Callable[[], Look]) -> Step:
    try:
        finding, following = look()
    except TradebotError as error:
        finding, following = clean(error.message), error.hint
    return Step(name, not following, finding, needed, following)


def _sessions(paper: _Paper) -> Look:
    ledger, began = paper.ledger, paper.ledger.books_opened_at()
    days = ledger.sessions(began.date() - timedelta(days=1), ALWAYS.date()) if began else ()
    jobs = set(Job)
    ran = sum(
        any(claim.missed_reason is None and claim.job in jobs for claim in ledger.slot_claims(day.date)) for day in days
    )
    return pluralize(ran, "session"), "" if ran >= SESSIONS else f"tradebot serve{paper.at}"


def _hours(least: int, paper: _Paper) -> Look:
    paper_evidence = load_paper_evidence(paper.folder.path, paper.ledger)
    hours = paper_evidence.connected.total_seconds() / 3600
    crash = f", since the crash at {when(paper_evidence.crashed_at)}" if paper_evidence.crashed_at else ", no crash"
    return f"{hours:.1f} of {least} hours{crash}", "" if hours >= least else f"tradebot serve{paper.at}"


def _unbroken(least_s: int, paper: _Paper) -> Look:
    longest_s = load_paper_evidence(paper.folder.path, paper.ledger).unbroken.total_seconds()
    finding = f"{longest_s / 60:.0f} of {least_s / 60:.0f} minutes"
    return finding, "" if longest_s >= least_s else f"tradebot serve{paper.at}"


def _trades(paper: _Paper) -> Look:
    return _look_at_trades(TRADES, paper)


def _look_at_trades(least: int, paper: _Paper) -> Look:
    position_by_owner, trades = dict[tuple[str, str], Position](), 0
    for owned in paper.ledger.fills():
        key = owned.strategy, owned.fill.symbol
        before = position_by_owner.get(key) or Position(*key, (), owned.fill.price * 0)
        position_by_owner[key] = add(before, owned)
        trades += round_trip(before, position_by_owner[key], owned) is not None
    return pluralize(trades, "trade"), "" if trades >= least else f"tradebot serve{paper.at}"


def _halt(paper: _Paper) -> Look:
    began = paper.ledger.books_opened_at()
    states = paper.ledger.states_since(began, ALWAYS) if began else ()
    by_hand = [at for at, record in enumerate(states) if record.state is not TradingState.ACTIVE and not record.causes]
    if not by_hand:
        return "nobody has halted it yet", f"tradebot halt{paper.at}"
    if not any(record.state is TradingState.ACTIVE for record in states[by_hand[0] :]):
        return "it was halted, but hasn't resumed yet", f"tradebot unhalt{paper.at}"
    return f"a person halted it {pluralize(len(by_hand), 'time')} and resumed it", ""


def _drills(paper: _Paper) -> Look:
    drills_run = read_drills(paper.folder.path / FOLDER)
    missing = [name for name in DRILLS if name not in drills_run or not drills_run[name].passed]
    finding = f"{len(DRILLS) - len(missing)} of {len(DRILLS)} passed"
    if not missing:
        return finding, ""
    return f"{finding}; not yet {', '.join(missing)}", f"tradebot drill run {missing[0]}{paper.at}"


def _look_at_restore(paper: _Paper) -> Look:
    claim = paper.ledger.last_claim(RESTORED)
    if claim is None:
        return "no backup was restored yet", f"tradebot backup{paper.at}, then tradebot restore{paper.at} NAME"
    return f"{clean(claim.slot)} was restored on {claim.session}", ""


def _notices(app: "App") -> Look:
    names = [channel.name for channel in app.settings.notify.in_use()]
    addresses = addresses_of(app.settings, os.environ)
    if not names:
        return "no channel is configured, so nobody gets notices", "tradebot notify list"
    unread = [name for name in names if name not in addresses or not _read(app, name, addresses[name])]
    if unread:
        return f"nobody has confirmed {', '.join(unread)} yet", f"tradebot notify test {unread[0]}"
    return f"a person has confirmed {', '.join(names)}", ""


def _read(app: "App", channel: str, address: str) -> bool:
    """Return True if a person has confirmed a test message of this channel that was sent to its present address."""
    claim = app.ledger_view.last_claim(f"{READ} {channel}")
    return claim is not None and claim.slot == confirmation_code(app.folder.id, address)


PAPER: tuple[Wanted, ...] = (
    ("sessions on paper", f"{SESSIONS} sessions in which passes ran", _sessions),
    ("trades on paper", f"{TRADES} positions that the bot opened and closed", _trades),
    ("halt", "a person halted the paper bot and let it resume", _halt),
    ("drills", "every drill passed", _drills),
    ("restore", "a backup of the paper bot was restored once", _look_at_restore),
)
