"""`/metrics`: both formats are read back by the client library's own parsers, and hold ages and counts."""

import math
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from commands.serve.web_pages import metrics
from tests.commands.serve.test_web_pages import asking, looked
from tests.kit.core.evidence import cycle, past
from tests.kit.values import NOW, ago
from tradebot import __version__
from tradebot.judging.evidence import Unread
from tradebot.judging.pass_health import TABLE
from tradebot.model.struct_tools import replace

OPEN = "application/openmetrics-text; version=1.0.0"
PARSERS = {OPEN: openmetrics.text_string_to_metric_families, "": text_string_to_metric_families}


def read(accept: str, text: str) -> dict[tuple[str, ...], float]:
    """Return the value of every sample, by its name and its labels' values."""
    samples = [sample for family in PARSERS[accept](text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


@pytest.mark.parametrize("accept", PARSERS)
def test_metrics_can_be_read_back(accept: str) -> None:
    answer = metrics(looked(exits=past(cycles=[cycle(at=ago(90))])), accept)
    found = read(accept, answer.text)
    assert answer.kind.startswith(accept.partition(";")[0] or "text/plain")
    assert {labels[0] for name, *labels in found if name == "tradebot_evidence_count"} == TABLE.keys()
    assert found["tradebot_evidence_age_seconds", "exits"] == 90
    assert found["tradebot_evidence_late_seconds", "exits"] == 60
    assert found["tradebot_evidence_budget_seconds", "exits"] == 300
    assert (found["tradebot_parts", "OK"], found["tradebot_order_success_rate",]) == (len(TABLE), 0.98)
    assert (found["tradebot_data_fetch_latency_ms",], found["tradebot_position_mismatches",]) == (812.5, 2)
    assert (found["tradebot_healings",], found["tradebot_last_cycle_age_seconds",]) == (4, 30)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("accept", PARSERS)
def test_unknown_metrics_are_left_out_instead_of_zero(accept: str) -> None:
    answer = metrics(replace(looked(**dict.fromkeys(TABLE)), figures=Unread("locked", "")), accept)
    found = read(accept, answer.text)
    assert found["tradebot_parts", "UNKNOWN"] == len(TABLE)
    assert {name for name, *_ in found} == {"tradebot_info", "tradebot_evidence_count", "tradebot_parts"}


@pytest.mark.parametrize(("query", "accept"), [("format=json", ""), ("", "application/json"), ("format=json", OPEN)])
def test_metrics_in_json_are_the_same_numbers(tmp_path: Path, query: str, accept: str) -> None:
    reply = asking(tmp_path)("/metrics", query, HTTP_ACCEPT=accept)
    assert reply.headers["Content-Type"] == "application/json"
    json_values = {
        (name, *([label] if label else [])): value
        for name, found in reply.data.items()
        for label, value in (found.items() if isinstance(found, dict) else [("", found)])
    }
    text = read("", asking(tmp_path)("/metrics", "format=text", HTTP_ACCEPT="application/json").body.decode())
    text["tradebot", __version__] = text.pop(("tradebot_info", __version__))
    assert json_values == text


def test_metrics_in_an_unknown_format_are_refused(tmp_path: Path) -> None:
    assert asking(tmp_path)("/metrics", "format=xml").status == 400


def test_metrics_show_ages_and_no_verdicts() -> None:
    found = read("", metrics(looked(), "").text)
    assert {name for name, *_ in found if "up" in name.split("_") or "ok" in name.split("_")} == set()
    assert NOW.isoformat() not in metrics(looked(), "").text
