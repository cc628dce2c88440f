"""`tradebot replay FILE`: decide the pass of an incident again, without a bot's folder. It may come from anyone."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.replay.report import Again, ChangedPass, Unreadable, changed_in, replay_report
from tradebot.adapters.state.incident_file import AGAIN, parts_of
from tradebot.adapters.text.canonical import parse_time
from tradebot.app.what_if_rules import rules_of_record
from tradebot.errors import OperatorError, TradebotError
from tradebot.replaying.cycle_comparison import ReplayedPass, replay
from tradebot.replaying.passes import read_record
from tradebot.replaying.port_recording import InOrder, RecordedPorts
from tradebot.replaying.record_json import record_of
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from tradebot.adapters.facts.recorded_passes import KeptPass

ENDING = ".txt"
SPOILED = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What deciding raises about values that no pass ever had: such a record is refused, and isn't a bug."""


def is_file(asked: str) -> bool:
    """Return True if a word can't be a pass or a session, or is the name of a file."""
    return "/" in asked or asked.endswith(ENDING) or Path(asked).is_file()


def decided_again_from(path: Path, version: str | None) -> Again:
    """Decide the pass of a file again; OperatorError if the file can't be used, or has no pass that can be replayed."""
    parts = parts_of(path)
    if "pass" not in parts:
        why = _text(parts.get("about"), "why") or "it has no record of a pass"
        raise OperatorError(f"The pass in {path} can't be decided again: {why}.", "its other parts are plain text")
    one, in_order, tree = _named(path, parts["pass"])
    if version not in (None, one.version):
        raise OperatorError(f"The pass in {path} wasn't recorded by {version}.", f"by: {one.version}")
    changed, unreadable, decisions = list[ChangedPass](), list[Unreadable](), 0
    try:
        found = _decided(tree, InOrder if in_order else RecordedPorts, only_decisions=in_order or version is not None)
    except RecordError as error:
        unreadable.append(Unreadable(one.id, one.at, str(error)))
    else:
        decisions = found.decisions
        changed += [changed_in(one.id, one.at, one.version, found.difference)] if found.difference else []
    equal = 1 - len(changed) - len(unreadable)
    return replay_report((one.version,), (one.session,), 1, equal, decisions, changed, unreadable=unreadable)


def _decided(tree: object, kind: type[RecordedPorts], *, only_decisions: bool) -> ReplayedPass:
    try:
        recorded = read_record(*record_of(tree), {}, kind)
        return replay(recorded, rules_of_record(recorded.surroundings), only_decisions=only_decisions)
    except RecordError:
        raise
    except (*SPOILED, TradebotError) as error:
        raise RecordError("it has values that no pass ever had") from error


def _named(path: Path, part: object) -> tuple["KeptPass", bool, object]:
    from tradebot.adapters.facts.recorded_passes import KeptPass

    try:
        if not isinstance(part, Mapping):
            raise TypeError("no record")
        at = parse_time(part["at"])
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError("no time")
        one = KeptPass(str(part["id"]), date.fromisoformat(part["session"]), at, str(part["version"]))
        return one, part["in_order"] is True, part["record"]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise OperatorError(f"{path} can't be read: its pass has no id, session, time and version.", AGAIN) from error


def _text(part: Any, name: str) -> str:
    found = part.get(name) if isinstance(part, Mapping) else None
    return found[:200] if isinstance(found, str) else ""
