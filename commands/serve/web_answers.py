"""What is answered to questions about the bot's health: documents made of what was looked at."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from commands.shared.surface import jsonable
from tradebot.adapters.text.redaction import hide
from tradebot.judging.evidence import Evidence, Past, Serve, Unread
from tradebot.judging.judgment import Judgment, State, overall, ranked
from tradebot.judging.parts import NEVER
from tradebot.judging.passes import finished, newest
from tradebot.model.record import Job
from tradebot.model.text import counted
from tradebot.views.figures import Figures

JSON = "application/json"
TRADING = ("serve", "exits", "broker", "books", "ledger", "journal", "calendar", "clock", "disk", "halts")
"""The parts without which nothing may be traded now."""
PASSES = {"exits": Job.EVALUATE_EXITS, "entries": Job.TRADE_ONCE, "flow": Job.FETCH_FLOW}
"""The parts whose passes trading needs: none may let two of its slots begin without finishing one."""


class Condition(Struct, frozen=True):
    """One condition of trading now, whether it holds, and by what."""

    name: str
    holds: bool
    found: str


class Looked(Struct, frozen=True):
    """Everything that was looked at for one answer."""

    evidence: Evidence
    judgments: tuple[Judgment, ...]
    figures: Figures | Unread
    is_open: bool
    permission: Judgment


class Answer(NamedTuple):
    """One answer: its status, its kind and its text."""

    status: int
    kind: str
    text: str


def document(status: int, fields: Mapping[str, Any]) -> Answer:
    """Return a JSON document, without anything secret."""
    return Answer(status, JSON, hide(json.dumps(jsonable(fields), allow_nan=False)) + "\n")


def healthz(process: Judgment, at: datetime) -> Answer:
    """Tell whether the process works: whether its lanes have looked of late."""
    status = 200 if process.state in (State.OK, State.DEGRADED) else 503
    return document(status, {"status": process.state, "timestamp": at, "found": process.found, "age_s": process.age_s})


def readyz(looked: Looked) -> Answer:
    """Tell whether the bot may trade now, and each condition of that."""
    conditions = tuple(_conditions(looked))
    ready = all(condition.holds for condition in conditions)
    found = {"ready": ready, "timestamp": looked.evidence.at, "conditions": [asdict(each) for each in conditions]}
    return document(200 if ready else 503, found)


def _conditions(looked: Looked) -> Sequence[Condition]:
    found = {judgment.subject: judgment for judgment in (*looked.judgments, looked.permission)}
    return (
        Condition("session", looked.is_open, "open" if looked.is_open else "no session is open"),
        *(Condition(name, found[name].state is State.OK, found[name].found) for name in ("permission", *TRADING)),
        _slots(looked.evidence),
    )


def _slots(evidence: Evidence) -> Condition:
    """Hold until a second slot of a job begins that no pass has finished since the one before."""
    behind = []
    for name, job in PASSES.items():
        past = evidence.parts.get(name)
        last = newest(finished(past, job)) if isinstance(past, Past) else None
        many = sum(start > (last.at if last else NEVER) for start in evidence.due.get(job, ()))
        if isinstance(past, Past) and many > 1:
            behind.append(f"{counted(many, 'slot')} of {name}")
    said = f"{' and '.join(behind)} began, and no pass finished" if behind else "no job has missed two in a row"
    return Condition("slots", not behind, said)


def health(looked: Looked) -> Answer:
    """Tell how each part is; status 503 if anyone has to act. Fields are named as those of the earlier bots."""
    evidence, state = looked.evidence, overall(looked.judgments)
    wrong = ranked(looked.judgments)
    fields = {
        "status": state,
        "timestamp": evidence.at,
        "uptime_seconds": uptime_s(evidence),
        **_figures(looked),
        "issues": [f"{judgment.subject} {judgment.state}: {judgment.found}" for judgment in wrong],
        "alpaca_connected": any(each.subject == "broker" and each.state is State.OK for each in looked.judgments),
        "subsystems": looked.judgments,
    }
    return document(503 if state.is_finding else 200, fields)


def _figures(looked: Looked) -> Mapping[str, Any]:
    figures, past = looked.figures, looked.evidence.parts.get("strategies")
    models = past.strategies if isinstance(past, Past) else None
    if isinstance(figures, Unread):
        return {**dict.fromkeys(Figures.__struct_fields__), "last_error": figures.why, "models": models}
    return {**asdict(figures), "models": models}


def uptime_s(evidence: Evidence) -> float | None:
    """Return for how long `serve` has been running; None if it isn't."""
    serve = evidence.parts.get("serve")
    if not isinstance(serve, Serve) or serve.note is None or not serve.running:
        return None
    return max((evidence.at - serve.note.since).total_seconds(), 0.0)
