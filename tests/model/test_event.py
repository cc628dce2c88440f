"""Every event that the bot writes is of a kind in the one table, and every kind in it is written."""

import re
from pathlib import Path

from tests.builders import NOW
from tradebot.model.event import EventKind, Severity

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {path: path.read_text() for room in ("tradebot", "commands", "jobs") for path in (ROOT / room).rglob("*.py")}


def test_only_a_kind_makes_an_event() -> None:
    makers = {path.name for path, text in SOURCES.items() if re.search(r"SystemEvent\(", text)}
    assert makers == {"event.py"}


def test_every_kind_is_written_somewhere() -> None:
    used = {name for text in SOURCES.values() for name in re.findall(r"EventKind\.([A-Z_]+)", text)}
    assert used == set(EventKind.__members__)


def test_a_kind_is_named_by_its_subsystem_and_type() -> None:
    assert (
        len(EventKind.__members__) == len(EventKind) == len({(kind.subsystem, kind.event_type) for kind in EventKind})
    )
    assert all(kind.meaning.endswith(".") for kind in EventKind)


def test_an_event_has_its_kinds_severity_unless_another_is_given() -> None:
    event = EventKind.FACTS_BEGUN_ANEW.at(NOW, {"why": "lost"}, "AAPL")
    assert (event.timestamp, event.subsystem, event.event_type) == (NOW, "facts", "FACTS_BEGUN_ANEW")
    assert (event.severity, event.symbol, event.details) == (Severity.WARN, "AAPL", {"why": "lost"})
    assert EventKind.FACTS_BEGUN_ANEW.at(NOW, {}, severity=Severity.INFO).severity is Severity.INFO
