"""A long seeded session of data requests: every path is served or left out, and every answer is documented."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from exchange.tests.kit.app import SYMBOLS, Answer, World, open_world
from exchange.tests.kit.openapi import Session, data_api
from papervenue.faces.unsupported_paths import DATA_LEFT_OUT
from tests.suite.tiers import sized

STEPS = sized(500, 5_000)
"""How long a session is."""
TICKS = ("bars", "trades", "quotes", "auctions")
LATEST = ("bars/latest", "trades/latest", "quotes/latest", "snapshots")
ONE_LATEST = ("bars/latest", "trades/latest", "quotes/latest", "snapshot")
TIMES = ("2025-03-03", "2025-03-03T14:00:00Z", "2025-03-03T14:30:00.5Z", "2025-03-04T09:00:00-05:00", "2025-03-04")
DOCUMENTED = (200, 400, 403, 404)


class Reading(Session):
    """A client that asks for market data."""

    def read(self, target: str, **query: Any) -> Answer:
        answer = self.ask(
            "GET", f"{target}?{urlencode({name: value for name, value in query.items() if value is not None})}"
        )
        assert answer.status in DOCUMENTED
        return answer

    def step(self) -> None:
        acts = [self.past] * 4 + [self.latest] * 2 + [self.meta, self.screener, self.actions, self.tick]
        self.chance.choice(acts)()

    def tick(self) -> None:
        self.world.tick(**self.pick({"seconds": 60}, {"seconds": 60}, {"seconds": 600}, {"to": "next_open"}))

    def symbol(self) -> str:
        return str(self.pick(*SYMBOLS, *SYMBOLS, *SYMBOLS, "NONE", "BRK.B", "x"))

    def path_and_query(self, many: str, one: str) -> tuple[str, dict[str, str]]:
        """Return a path for some symbols or for one, and what it asks of its query."""
        if self.chance.random() < 0.5:
            return f"/v2/stocks/{many}", {"symbols": ",".join({self.symbol() for _ in range(3)})}
        return f"/v2/stocks/{self.symbol()}/{one}", {}

    def past(self) -> None:
        kind = self.pick(*TICKS)
        path, query = self.path_and_query(kind, kind)
        start = self.pick(None, *TIMES)
        frames = ("1Min", "5T", "45Min", "1Hour", "3H", "1Day", "1Week", "3Month", "9Day")
        query |= {"timeframe": self.pick(*frames)} if kind == "bars" else {}
        query |= {"adjustment": self.pick("raw", "split", "all", "none")} if self.chance.random() < 0.2 else {}
        for _ in range(self.pick(1, 3)):
            answer = self.read(
                path, start=start, limit=self.pick(None, 1, 7, 300), sort=self.pick(None, "asc", "desc"),
                feed=self.pick(None, None, None, "sip", "iex", "boats", "cta"), currency=self.pick(None, None, "USD"),
                asof=self.pick(None, None, "-", "2025-03-03"), **query,
            )  # fmt: skip
            if answer.status != 200 or answer.json["next_page_token"] is None:
                return
            query["page_token"] = answer.json["next_page_token"]

    def latest(self) -> None:
        number = self.chance.randrange(len(LATEST))
        path, query = self.path_and_query(LATEST[number], ONE_LATEST[number])
        feed = self.pick(None, None, "sip", "iex", "delayed_sip", "otc", "boats", "overnight", "cta")
        self.read(path, feed=feed, currency=self.pick(None, "USD", "JPY"), **query)

    def meta(self) -> None:
        self.read("/v2/stocks/meta/exchanges")
        self.read(
            f"/v2/stocks/meta/conditions/{self.pick('trade', 'quote', 'news')}", tape=self.pick("A", "B", "C", "D")
        )

    def screener(self) -> None:
        self.read(
            "/v1beta1/screener/stocks/most-actives", by=self.pick(None, "volume", "trades", "x"), top=self.pick(1, 200)
        )
        self.read(f"/v1beta1/screener/{self.pick('stocks', 'stocks', 'crypto', 'x')}/movers", top=self.pick(None, 2))

    def actions(self) -> None:
        self.read(
            "/v1/corporate-actions", symbols=self.pick(None, "AAPL"), start=self.pick(None, "2025-01-01"), limit=2
        )


@pytest.mark.sampled
def test_every_answer_of_a_long_session_is_documented(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder())
    for number, symbol in enumerate(SYMBOLS):
        action = {"type": "cash_dividend", "symbol": symbol, "rate": f"0.{number + 1}"}
        assert world.ask("POST", "/exchange/v1/actions", action).status == 200
    session = Reading(world, data_api(), seed=20250303)
    for _ in range(STEPS):
        session.step()
    served = {path for _, path, status in session.seen if status == 200}
    left_out = {row.path for row in DATA_LEFT_OUT}
    assert served | left_out >= set(data_api().document["paths"])
    assert {status for _, _, status in session.seen} == set(DOCUMENTED)


def test_what_is_left_out_answers_a_documented_refusal_that_says_why(world: World) -> None:
    api = data_api()
    for row in DATA_LEFT_OUT:
        target = row.path.replace("{loc}", "us").replace("{ticktype}", "trade")
        target = target.replace("{symbol}", "AAPL").replace("{underlying_symbol}", "AAPL")
        answer = world.ask("GET", target)
        assert answer.status == 403
        assert answer.json["message"].endswith(row.reason)
        assert api.problems("GET", target, answer.status, answer.headers["content-type"], answer.body) == []
        assert world.ask("GET", target, headers={}).status == (401 if row.keyed else 403)


def test_every_path_asks_for_a_key_but_those_that_the_document_gives_away(world: World) -> None:
    for path, methods in data_api().document["paths"].items():
        answer = world.ask("GET", path.replace("{", "").replace("}", ""), headers={})
        given_away = methods["get"].get("security") == []
        assert answer.status == (403 if given_away else 401), path
        assert given_away == (answer.json != {"message": "unauthorized."})
