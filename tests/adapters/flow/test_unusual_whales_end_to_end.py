"""The flow client against a served exchange that refuses what is too much: it never has to."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import requests

from exchange.tests.kit.served import Served, served
from papervenue.faces.flow import FlowLimits
from papervenue.market.spec import MarketSpec
from papervenue.process import create
from papervenue.times import SECOND
from tests.kit.values import SHIPPED
from tradebot.adapters.flow.rate_quota import KeptQuota
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.wire.http import HttpReply
from tradebot.errors import AllowanceSpentError, TemporaryError
from tradebot.model.flow import Allowance
from tradebot.signals.kinds import kind_of
from tradebot.signals.subjects.volatility import IV_RANK_KIND

DAY = date(2026, 11, 20)
PATH = "/api/stock/AAPL/iv-rank"


@contextmanager
def limited(folder: Path, per_minute: int | None, per_day: int | None) -> Iterator[Served]:
    create(folder, MarketSpec(symbols=("AAPL",), sessions=2, start=DAY, seed=7))
    with served(folder, flow_limits=FlowLimits(per_minute, per_day)) as place:
        place.tick(to="open")
        yield place


class Client:
    """A client in the exchange's own time, which passes when the client waits."""

    def __init__(self, place: Served, allowance: Allowance | None, file: Path | None = None) -> None:
        self._place = place
        self.statuses: list[int] = []
        self.source = UnusualWhales(place.url, "sandbox", now=self.now, heard=self._heard, told_at=lambda _: self.now())
        self.source.quota = KeptQuota(file, allowance, self.now, monotonic=self.monotonic, sleep=self.sleep)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.monotonic(), UTC)

    def monotonic(self) -> float:
        return self._place.exchange.engine.now_us / SECOND

    def sleep(self, seconds: float) -> None:
        self._place.tick(seconds=seconds)

    def ask(self, times: int) -> None:
        for _ in range(times):
            self.source.fetch(IV_RANK_KIND, "AAPL", DAY)

    def _heard(self, answer: HttpReply) -> None:
        self.statuses.append(answer.status)


def counted_today(place: Served, key: str = "sandbox") -> int:
    """Ask once more, as somebody else with this key would, and return what the source counted today."""
    answer = requests.get(place.url + PATH, headers={"Authorization": f"Bearer {key}"}, timeout=10)
    return int(answer.headers["x-uw-daily-req-count"])


def test_every_flow_endpoint_answers_with_rows_and_a_quota(tmp_path: Path) -> None:
    with limited(tmp_path, None, None) as place:
        place.tick(to="close")
        source = Client(place, None).source
        for kind in map(kind_of, SHIPPED.unusual_whales.poll_s):
            page = source.fetch(kind, None if kind.market_wide else "AAPL", DAY)
            assert page.rows, kind.name
            assert page.quota.used_today is not None


def test_the_limits_really_refuse_with_the_headers_of_the_service(tmp_path: Path) -> None:
    with limited(tmp_path, 120, 200) as place:
        naive = [requests.get(place.url + PATH, headers={"Authorization": "Bearer x"}, timeout=10) for _ in range(121)]
        assert [answer.status_code for answer in naive] == [200] * 120 + [429]
        assert naive[-1].headers["x-uw-req-per-minute-remaining"] == "0"
        assert (naive[-1].headers["x-uw-daily-req-count"], naive[-1].json()) == (
            "120",
            {"message": "too many requests"},
        )


def test_a_source_of_120_a_minute_never_refuses_and_every_process_counts_on(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", 120, 15_000) as place:
        began_s = Client(place, None).monotonic()
        for _ in range(3):
            # A new process each time, going on from the kept file.
            client = Client(place, Allowance(120, 15_000), tmp_path / "flow.quota")
            client.ask(70)
            assert set(client.statuses) == {200}
        assert client.source.quota.used_on_day(client.now()) == 210
        # 210 calls at 100 a minute, of which the minute begins empty.
        assert client.monotonic() - began_s == pytest.approx(126, abs=1)
        assert counted_today(place) == 211


def test_smaller_allowance_of_the_source_counts(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", 10, 45) as place:
        client = Client(place, None, tmp_path / "flow.quota")
        client.ask(30)
        assert set(client.statuses) == {200}
        counted_today(place)
        with pytest.raises(AllowanceSpentError, match="2026-11-20 20:00 New York time"):
            client.ask(100)
        assert (set(client.statuses), len(client.statuses)) == ({200}, 44)
        place.tick(to="2026-11-21T01:00:00Z")
        client.ask(1)
        assert client.statuses[-1] == 200


def test_another_user_of_the_key_causes_at_most_one_refusal(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", 20, None) as place:
        client = Client(place, Allowance(20, 15_000), tmp_path / "flow.quota")
        client.ask(2)
        for _ in range(20):
            counted_today(place)
        with pytest.raises(TemporaryError, match="this minute's allowance is used up; it renews in"):
            client.ask(1)
        client.ask(25)
        assert client.statuses.count(429) == 1


def test_configured_daily_limit_stops_requests(tmp_path: Path) -> None:
    with limited(tmp_path / "exchange", None, 50) as place:
        client = Client(place, Allowance(6000, 30), tmp_path / "flow.quota")
        with pytest.raises(AllowanceSpentError):
            client.ask(31)
        assert client.statuses == [200] * 30
        assert counted_today(place) == 31
