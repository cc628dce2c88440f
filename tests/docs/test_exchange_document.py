"""docs/EXCHANGE.md is true: what it posts is taken, and every path of the flow API is listed."""

import http.client
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

from exchange.tests.kit.app import SPEC, open_world
from papervenue.flow.series import ENDPOINTS
from papervenue.process import create
from tests.kit.lab import served_to_others

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT = (DOCS / "EXCHANGE.md").read_text(encoding="utf-8")


UNASKED = re.findall(r"^\| `POST (\S+) (\{.+?\})` \|.*\| ([^|]+) \|$", DOCUMENT, flags=re.MULTILINE)


def test_the_table_of_flow_names_every_path_that_is_served() -> None:
    page = (DOCS / "internals" / "FLOW_PATHS.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(/\S+)` \|", page, flags=re.MULTILINE)
    first = ("option-trades/flow-alerts", "darkpool/{ticker}", "market/market-tide")
    daily = ("greek-exposure", "iv-rank", "oi-change")
    older = [f"/{path}" for path in first] + [f"/stock/{{ticker}}/{name}" for name in daily]
    assert sorted(listed) == sorted([*older, *(one.path.removeprefix("/api") for one in ENDPOINTS)])


def test_every_example_of_what_the_venue_does_unasked_is_taken_and_gives_its_events(tmp_path: Path) -> None:
    assert len(UNASKED) == 7
    create(tmp_path / "market", SPEC)
    world = open_world(tmp_path / "market", to="open")
    for path, body, events in UNASKED:
        price: dict[str, Any] = {"limit_price": "1.00"} if path.endswith("orders") else {}
        order = world.order("AAPL", "buy", 4, **price).json
        world.tick(seconds=120)
        if "resume" in body:
            world.ask("POST", path, {"order": order["id"], "do": "suspend"})
        told = len(world.events())
        name = order["id"] if price else world.get("/v2/account/activities")[0]["id"]
        answer = world.ask("POST", path, body.replace("ID", f'"{name}"').encode())
        assert answer.status == 200, (body, answer.body)
        world.tick(seconds=60)
        names = [line["event"].removeprefix("order_") for line in world.events()[told:] if "order_id" in line]
        assert names == re.findall(r"`(\w+)`", events)


def test_every_example_of_an_action_or_a_journal_is_taken(tmp_path: Path) -> None:
    examples = re.findall(r"^POST (\S+) (\{.+\})$", DOCUMENT, flags=re.MULTILINE)
    assert len(examples) >= 4
    with served_to_others(tmp_path, "--symbols", "AAPL") as lab:
        for path, body in examples:
            with closing(http.client.HTTPConnection(lab.url.removeprefix("http://"), timeout=60)) as connection:
                connection.request("POST", path, body)
                answer = connection.getresponse()
                assert answer.status == 200, (path, body, answer.read())
        lab.tick(to="next_open")
        happened = {event["type"] for event in lab.logged("corporate_action")}
    assert {json.loads(body)["type"] for path, body in examples if path.endswith("actions")} <= happened
