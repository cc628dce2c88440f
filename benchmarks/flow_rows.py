"""Measure how fast replies of alert rows in the source's real shape become facts, and facts become clusters."""

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.flow.unusual_whales import rows_of
from tradebot.adapters.wire.http import Answer
from tradebot.model.flow import FlowAlert, FlowPage, Intake, Quota
from tradebot.signals.normalize import normalize
from tradebot.signals.subjects.alerts import FLOW_ALERTS_KIND, sizes

RUNS = sized(7, 1)
PAGES, ROWS = sized((50, 200), (2, 20))
WANTED_PER_S = 50_000
OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
CLOSE = OPEN + timedelta(hours=6, minutes=30)
WINDOW = timedelta(minutes=10)


def row(number: int) -> dict[str, Any]:
    """Return an alert with the fields and types of the REST API."""
    at, right = OPEN + timedelta(seconds=(number * 7919) % 23_000, microseconds=393_994), "CP"[number % 2]
    expiry = date(2026, 11, 20) + timedelta(days=7 * (number % 5))
    premium = 30_000 + number * 37 % 900_000
    return {
        "price": f"{number * 13 % 1900 / 100 + 0.01:.2f}",
        "iv_start": f"0.{64_834_854_249_1419 + number}",
        "open_interest": 19_829 + number,
        "alert_rule": "RepeatedHits",
        "created_at": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
        "volume": 14_920 + number,
        "has_sweep": number % 3 == 0,
        "strike": str(80 + number % 40),
        "has_floor": False,
        "er_time": "unknown" if number % 10 == 0 else None,
        "total_premium": str(premium),
        "trade_count": 26,
        "has_singleleg": True,
        "issue_type": "Common Stock",
        "all_opening_trades": False,
        "next_earnings_date": "2027-01-26" if number % 10 == 0 else None,
        "ask": f"{number * 13 % 1900 / 100 + 0.02:.2f}",
        "sector": "Technology" if number % 10 == 0 else None,
        "option_chain": f"AAPL{expiry:%y%m%d}{right}{80 + number % 40:05d}000",
        "end_time": int(at.timestamp() * 1000),
        "start_time": int(at.timestamp() * 1000) - 2,
        "expiry_count": 1,
        "has_multileg": False,
        "volume_oi_ratio": "0.752433304755661",
        "bid": f"{number * 13 % 1900 / 100:.2f}",
        "marketcap": "48305211676",
        "ticker": "AAPL",
        "total_size": 1859,
        "iv_end": f"0.{64_834_854_249_1419 + number}",
        "id": f"9fb554be-f347-4847-8c6a-{number:012d}",
        "expiry": expiry.isoformat(),
        "rule_id": "e6b9f0b6-fcd9-44fe-9d1c-f53521c152c3",
        "type": "call" if right == "C" else "put",
        "underlying_price": f"{80 + number % 1500 / 100:.2f}",
        "total_ask_side_prem": str(premium - premium * (number % 3) // 3),
        "total_bid_side_prem": str(premium * (number % 3) // 3),
    }


def answers() -> list[Answer]:
    """Return the replies, each as large as the source's largest."""
    rows = [[row(page * ROWS + n) for n in range(ROWS)] for page in range(PAGES)]
    return [Answer(200, {}, json.dumps({"data": each}).encode()) for each in rows]


def each(work: Callable[[Any], object], items: Sequence[Any]) -> None:
    """Do the work for one item after another, as for one reply after another, and keep nothing."""
    for item in items:
        work(item)


def median_s(work: Callable[[], object]) -> float:
    """Return the median processor time of several runs: other work on the machine doesn't count."""
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return statistics.median(found)


def decoded(answer: Answer) -> FlowPage:
    return FlowPage("flow_alerts", "AAPL", rows_of("/flow-alerts", answer), Quota(None, None, None))


def checked(page: FlowPage) -> Intake:
    return normalize(FLOW_ALERTS_KIND, page, CLOSE)


def clustered(alerts: Sequence[FlowAlert]) -> None:
    for sign in (1, -1):
        sizes(alerts, WINDOW, sign)


def figures() -> Iterator[Figure]:
    """Yield the times of each step, and of all of them one after the other, for 10,000 rows."""
    replies, units = answers(), PAGES * ROWS / 10_000
    pages = [decoded(answer) for answer in replies]
    facts: list[Any] = [checked(page).facts for page in pages]
    assert all(len(one) == ROWS for one in facts)
    assert not checked(pages[0]).findings
    steps: dict[str, Callable[[], object]] = {
        "decoding JSON": lambda: each(decoded, replies),
        "reading and checking rows": lambda: each(checked, pages),
        "clustering": lambda: each(clustered, facts),
    }
    for name, work in steps.items():
        yield _figure(name, median_s(work) / units)
    whole_s = median_s(lambda: each(lambda answer: clustered(checked(decoded(answer)).facts), replies)) / units  # type: ignore[arg-type]
    yield _figure("parsing and clustering", whole_s, 10_000 / WANTED_PER_S * 1000)


def _figure(name: str, taken_s: float, bound_ms: float | None = None) -> Figure:
    return Figure(name, f"{10_000 / taken_s:,.0f} rows/s", taken_s * 1000, "ms", bound_ms)


if __name__ == "__main__":
    # The garbage collector is set as the `tradebot` command sets it.
    gc.set_threshold(UNCOLLECTED)
    show(
        f"10,000 alert rows of {len(row(0))} fields, of {PAGES * ROWS:,} in replies of {ROWS}; medians of {RUNS}",
        figures(),
    )
