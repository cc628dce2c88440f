"""Replies cut short: what is lost is counted, and what wasn't touched is as it would have been."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.signals.source_rows import read, world
from tradebot.adapters.flow.unusual_whales import rows_of
from tradebot.adapters.wire.http import Answer
from tradebot.errors import TemporaryError
from tradebot.model.flow import FlowPage, Intake, Quota
from tradebot.signals.components import component_names, component_of
from tradebot.signals.kinds import kind_names, kind_of
from tradebot.signals.normalize import normalize

CAPTURED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "uw" / "live"
FILES = {
    "flow_alerts": "option_flow_alerts",
    "dark_pool": "dark_pool",
    "etf_flow": "etf_flow",
    "greek_exposure": "greek_exposure",
    "iv_rank": "iv_rank",
    "market_tide": "market_tide",
    "oi_change": "oi_change",
    "top_net_impact": "top_net_impact",
}
AT = datetime(2025, 12, 27, 2, 30, tzinfo=UTC)
FEW = settings(max_examples=8)
SHARES = st.floats(0, 1, exclude_max=True)


@cache
def captured(name: str) -> bytes:
    path = CAPTURED / f"{FILES[name]}.json"
    if not path.exists():
        pytest.skip("shared/data absent: uw/live holds the captured responses")
    return json.dumps(json.loads(path.read_text())["response"]).encode()


def kept(name: str, rows: list[object]) -> Intake:
    return normalize(kind_of(name), FlowPage(name, None, tuple(rows), Quota(None, None, None)), AT)


@pytest.mark.parametrize("name", FILES)
@FEW
@given(share=SHARES)
def test_a_body_cut_short_anywhere_is_one_failed_call_and_no_rows(name: str, share: float) -> None:
    body = captured(name)
    with pytest.raises(TemporaryError):
        rows_of("/api", Answer(200, {}, body[: int(len(body) * share)]))
    assert rows_of("/api", Answer(200, {}, body)) == tuple(json.loads(body, parse_float=Decimal)["data"])


def cut(rows: list[dict[str, object]], share: float) -> tuple[list[object], int]:
    """Return the rows up to a point in the middle of one of them, whose first fields stay; and how many are whole."""
    whole, part = divmod(share * len(rows), 1)
    row = rows[int(whole)]
    return [*rows[: int(whole)], dict(list(row.items())[: int(part * len(row))])], int(whole)


@pytest.mark.parametrize("name", FILES)
@FEW
@given(share=SHARES)
def test_a_captured_row_cut_short_is_counted_and_leaves_the_others_alone(name: str, share: float) -> None:
    rows = json.loads(captured(name), parse_float=Decimal)["data"]
    if rows:
        given_rows, whole = cut(rows, share)
        intake, untouched = kept(name, given_rows), kept(name, rows[:whole])
        assert intake.facts[: len(untouched.facts)] == untouched.facts
        assert intake.received == whole + 1 == len(intake.facts) + intake.duplicates + len(intake.rejected)


@FEW
@given(seed=st.integers(0, 2**32), name=st.sampled_from(kind_names()), share=SHARES)
def test_a_row_cut_short_is_counted_and_leaves_the_others_alone(seed: int, name: str, share: float) -> None:
    rows = world(seed, names=[name])[name]
    if rows:
        given_rows, whole = cut(list(rows), share)
        intake, untouched = read(name, given_rows), read(name, rows[:whole])
        kept_ids = {fact.id for fact in intake.facts}
        assert {fact.id for fact in untouched.facts} <= kept_ids
        assert intake.received == len(intake.facts) + intake.duplicates + intake.foreign + len(intake.rejected)


def test_the_captured_files_are_those_of_kinds_that_components_read() -> None:
    """Otherwise the cases above might be about data that no score depends on."""
    assert FILES.keys() <= {kind.name for name in component_names() for kind in component_of(name).reads}
