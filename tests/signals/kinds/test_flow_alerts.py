"""Flow alerts: read all at once or one by one; decisions read them whole, oldest first."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.source_rows import JUNK, NO_QUOTA, captured, world
from tests.kit.values import NOW, alert
from tradebot.model.flow import FlowPage, Intake
from tradebot.model.kind import AnyKind
from tradebot.model.values import replace
from tradebot.signals.kinds.flow_alerts import KIND
from tradebot.signals.normalize import normalize

ONE_BY_ONE = replace(KIND, parse_all=None)


def read(kind: AnyKind, rows: Sequence[object], at: datetime = NOW, symbol: str | None = "AAPL") -> Intake:
    return normalize(kind, FlowPage(KIND.name, symbol, tuple(rows), NO_QUOTA), at)


def test_alerts_are_kept_whole_and_come_oldest_first() -> None:
    assert KIND.condense([KIND.lean(alert(number)) for number in (1, 3, 2)]) == (alert(3), alert(2), alert(1))


@given(seed=st.integers(0, 2**32))
def test_alerts_read_at_once_are_those_read_one_by_one(seed: int) -> None:
    rows = world(seed, names=[KIND.name])[KIND.name]
    assert repr(read(KIND, rows)) == repr(read(ONE_BY_ONE, rows))


@pytest.mark.parametrize("name", KIND.fields)
def test_alerts_with_a_field_that_is_odd_or_gone_are_read_alike(name: str) -> None:
    rows = world(7, names=[KIND.name])[KIND.name]
    cases = [[{key: value for key, value in row.items() if key != name} for row in rows]]
    for value in JUNK:
        cases += [[row | {name: value} for row in rows], [rows[0] | {name: value}, *rows[1:]]]
    for changed in cases:
        assert len(changed) > 2
        assert repr(read(KIND, changed)) == repr(read(ONE_BY_ONE, changed))


def test_captured_alerts_are_read_at_once() -> None:
    rows = captured("live/option_flow_alerts.json")["response"]["data"]
    at = datetime(2025, 12, 27, 2, 18, 51, tzinfo=UTC)
    found = read(replace(KIND, parse=lambda row, symbol, at: pytest.fail("read one by one")), rows, at, None)
    assert len(found.facts) == 50
    assert found == read(ONE_BY_ONE, rows, at, None)
