"""Lists of which more is of one moment than a page holds, as when a large position is liquidated, are read whole."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.kit.adapters.kraken import ACCOUNT, AT, ORDER_ID, SYMBOL, execution, iso, page, reader, venue_at
from tests.kit.fakes.scripted import Asked, Script, Scripted, Wire
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TemporaryError
from tradebot.model.struct_tools import replace
from tradebot.venues.kraken.bars import KrakenBars
from tradebot.venues.kraken.history import ROWS
from tradebot.venues.kraken.reader import FILLS_A_PAGE

MANY = 161


def told_fill(number: int) -> dict[str, object]:
    kind = {"symbol": SYMBOL, "side": "buy", "fillType": "taker", "size": "1", "price": "30000"}
    return {"fill_id": f"e-{number}", "order_id": ORDER_ID, "fillTime": iso(AT), **kind}


def in_history(number: int) -> Any:
    told: Any = execution("1", number=number)
    told["event"]["Execution"]["execution"]["takerOrder"] |= {"tradeable": SYMBOL, "direction": "Buy"}
    return told


def at_once(executions: Sequence[object], rows: Sequence[dict[str, Any]] = ()) -> Script:
    """Answer as a venue of which everything is of one moment: a page before a time is always the same."""

    def answer(asked: Asked) -> Scripted:
        if asked.path.endswith("fills"):
            fills = [told_fill(number) for number in range(FILLS_A_PAGE)]
            return Scripted(200, {"result": "success", "serverTime": iso(AT), "fills": fills})
        if asked.path.endswith("account-log"):
            last = int(asked.query.get("to", len(rows)))
            newest_first = [row for row in rows if row["id"] <= last][::-1]
            return Scripted(200, {"accountUid": ACCOUNT, "logs": newest_first[:ROWS]})
        after = int(asked.query.get("continuation_token", 0))
        told = page(AT, *executions[after : after + 100])
        more = {"continuationToken": str(after + 100)} if after + 100 < len(executions) else {}
        return Scripted(200, told | more)

    return answer


def test_executions_of_one_moment_are_told_whole_however_many(wire: Wire) -> None:
    wire.script = at_once([in_history(number) for number in range(MANY)])
    fills = reader(wire).fills(None)
    assert {fill.activity_id for fill in fills} == {f"e-{number}" for number in range(MANY)}
    assert len(fills) == MANY
    # What the list and the history tell of an execution is the same.
    assert len({replace(one, activity_id="any") for one in fills}) == 1


def test_a_page_of_fills_of_which_no_row_can_be_read_ends_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.told_fill", lambda number: {"fill_id": f"e-{number}"})
    wire.script = at_once([in_history(number) for number in range(MANY)])
    with suppress(TemporaryError):
        assert reader(wire).fills(AT - timedelta(hours=1))


def test_fills_that_the_history_knows_under_no_id_are_no_end_of_the_list(wire: Wire) -> None:
    wire.script = at_once([in_history(number) for number in range(MANY, 2 * MANY)])
    with pytest.raises(TemporaryError, match="repeats a page"):
        reader(wire).fills(None)


def test_rows_of_the_account_log_of_one_moment_are_told_apart_by_their_ids(wire: Wire) -> None:
    row = {"date": iso(AT), "asset": "usd", "info": "futures trade", "contract": SYMBOL.lower(), "fee": 1}
    rows = [row | {"id": n, "execution": f"e-{n}", "booking_uid": f"b-{n}"} for n in range(1, ROWS + 62)]
    wire.script = at_once((), rows)
    assert len(reader(wire).activities(AT.replace(hour=0))) == len(rows)


def test_history_and_chart_that_repeat_a_page_are_refused(wire: Wire) -> None:
    wire.answer(Scripted(200, page(AT) | {"continuationToken": "again"}))
    with pytest.raises(TemporaryError, match="repeats a page"):
        reader(wire)._pages.executions(AT)
    wire.answer(Scripted(200, {"candles": [], "more_candles": True}))
    with pytest.raises(TemporaryError, match="repeats a page"):
        list(KrakenBars(venue_at(wire), DriftTally()).pages([SYMBOL], "1Min", AT, AT))
