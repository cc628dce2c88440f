"""Names that never change: the ids of orders, the kinds of events, and the reasons of decisions."""

import ast
import re
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from tests.kit.values import NOW
from tradebot.app.settings import load
from tradebot.gates.portfolio_limits import OWN_REASONS
from tradebot.model.candidate import Purpose, Side
from tradebot.model.event import EventKind, Severity
from tradebot.model.intent import IntentKey
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.struct_tools import replace

ROOT = Path(__file__).resolve().parents[2]
KEY = IntentKey("PA0000001", "momentum", date(2026, 11, 16), "open+5m", "AAPL", Side.BUY, Purpose.OPEN)
IDS = {
    KEY: "tb1.261116.MOMEN.AAPL.OPEN.K365JE6NNQRUJ75P",
    replace(KEY, leg=1): "tb1.261116.MOMEN.AAPL.OPEN.MVKY23GLWU3T7E2A",
    replace(KEY, generation=2): "tb1.261116.MOMEN.AAPL.OPEN.P7STHKA6QHXTNRUE",
    replace(
        KEY, symbol="BRK.B.WHENISSUED", side=Side.SELL, role=Purpose.CLOSE
    ): "tb1.261116.MOMEN.BRK.B.WH.CLOSE.RRPCRW73SARTW777",
    replace(KEY, strategy="ada", target="0a1b", role=Purpose.REDUCE): "tb1.261116.ADA.AAPL.REDUC.WIZHDZBRA4VTT7BU",
}


@pytest.mark.parametrize(("key", "name"), IDS.items(), ids=lambda part: part if isinstance(part, str) else "")
def test_the_id_of_a_content_never_changes(key: IntentKey, name: str) -> None:
    assert key.client_order_id() == name


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


TABLE = [*(ROOT / "tradebot" / "model").glob("*reasons.py"), ROOT / "tradebot" / "model" / "gate.py"]


@cache
def used() -> frozenset[str]:
    """Return the reasons that code gives; a strategy's own limit gives the reason that is named after the account's."""
    paths = {path for folder in ("tradebot", "commands", "jobs") for path in (ROOT / folder).rglob("*.py")}
    texts = [text for path in paths.difference(TABLE) if "Reason." in (text := path.read_text())]
    named = {name for text in texts for name in reasons_in(ast.parse(text))}
    return frozenset(named | {own.value for reason, own in OWN_REASONS.items() if reason.value in named})


def reasons_in(tree: ast.AST) -> list[str]:
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
        if not node.attr.startswith("_")
    ]


def test_a_reason_is_declared_once_and_has_its_name_for_a_value() -> None:
    makes = re.compile(r"^    ([A-Z_]+) = (?:broken|blocked|idle|unknown|_closes)\(", re.MULTILINE)
    declared = [name for path in TABLE for name in makes.findall(path.read_text())]
    assert sorted(declared) == sorted(reason.value for reason in Reason)
    assert [reason.value for reason in Reason] == [reason.name for reason in REASONS]


def test_every_setting_that_a_remedy_names_is_one_that_the_loader_takes() -> None:
    settings = load(None, {}).settings.model_dump()
    named = [
        name for row in REASONS.values() for name in re.findall(r"(?:limits|plugins|strategies\.flow)\.\w+", row.remedy)
    ]
    for name in named:
        section = settings
        for part in name.split(".")[:-1]:
            section = section[part]
        assert name.rpartition(".")[2] in section, name
    assert len(named) >= 4


A_LINE = 100
"""Characters of a screen's line, which a meaning or a remedy fits."""
LOOSENED = {Reason.CONSOLIDATION, Reason.TREND_TOO_WEAK, Reason.ENTRY_OUT_OF_PLACE, Reason.POINTS_TOO_FEW}
"""The filters of the smart-money strategy, which no gate's threshold stands for."""


def test_only_settings_that_are_no_threshold_of_a_gate_are_in_the_table_of_remedies() -> None:
    loosening = {
        reason: row.remedy
        for reason, row in REASONS.items()
        if re.search(r"\bor (raise|lower)\b|to null|long_only", row.remedy)
    }
    others = {Reason.STRATEGY_FAILED, Reason.STRATEGY_TIMEOUT, Reason.EQUITY_FLOOR_HALT}
    assert loosening.keys() - LOOSENED == others
    assert all("tradebot config accept" in loosening[reason] for reason in loosening.keys() & LOOSENED), loosening


@pytest.mark.parametrize("reason", Reason)
def test_a_row_says_what_it_means_and_what_would_change_it(reason: Reason) -> None:
    row = REASONS[reason]
    assert row.meaning.endswith(".")
    assert row.remedy.strip()
    assert [text for text in (row.meaning, row.remedy) if len(text) > A_LINE] == []


def test_every_reason_is_given_by_some_code() -> None:
    assert {reason.value for reason in Reason} - used() == set()


def test_every_reason_that_code_gives_is_in_the_table() -> None:
    assert used() <= {reason.value for reason in Reason}
