"""Net premium ticks: each minute is on its own, and the session is their sum."""

from datetime import timedelta
from decimal import Decimal

from tests.builders import NOW, ago
from tests.signals.source_rows import read, summed_up
from tradebot.signals.kinds.net_prem_ticks import KIND, LeanTick, NetPremFacts, NetPremTick

ROW = {
    "date": "2026-11-16",
    "tape_time": ago(120).isoformat(),
    "call_volume": 1145,
    "call_volume_ask_side": 822,
    "call_volume_bid_side": 182,
    "put_volume": 241,
    "put_volume_ask_side": 49,
    "put_volume_bid_side": 186,
    "net_call_premium": "2234.00",
    "net_call_volume": 640,
    "net_put_premium": "-11106.00",
    "net_put_volume": -137,
    "net_delta": "26294.85817964231814400",
}
NEXT = {**ROW, "tape_time": ago(60).isoformat(), "net_call_premium": "-3000", "net_put_premium": "0"}


def test_a_minute_keeps_its_money_exact() -> None:
    (tick,) = read("net_prem_ticks", [ROW]).facts
    assert isinstance(tick, NetPremTick)
    assert (tick.net_call_premium, tick.net_put_premium, tick.put_bid) == (Decimal(2234), Decimal(-11106), 186)
    assert KIND.lean(tick) == LeanTick(ago(120), 2234.0, -11106.0, 822 + 186, 182 + 49)


def test_a_session_is_the_sum_of_its_minutes() -> None:
    assert summed_up("net_prem_ticks", [NEXT, ROW, ROW]) == NetPremFacts(
        ago(60), 2, -766.0, -11106.0, 2234.0 + 11106.0 + 3000.0, 2 * 1008, 2 * 231
    )


def test_a_minute_that_is_still_to_come_is_refused() -> None:
    late = {**ROW, "tape_time": (NOW + timedelta(minutes=1)).isoformat()}
    assert [row.reason for row in read("net_prem_ticks", [late]).rejected] == ["tape_time is in the future"]
