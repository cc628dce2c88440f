"""Requests that schemathesis makes up from the OpenAPI files, valid and not: no 5xx, and no undocumented answer."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, seed, settings

from exchange.tests.kit.app import KEYS, SYMBOLS, World, open_world
from exchange.tests.kit.openapi import METHODS, Api, data_api, trading_api
from tests.suite import tiers
from tests.suite.tiers import sized

EXAMPLES = sized(1, 8)
SYMBOL_NAMES = ("symbol", "symbols", "symbol_or_asset_id")


@pytest.fixture(scope="module")
def world(new_folder: Callable[[], Path]) -> World:
    """Return an exchange in its session, with orders, a position and a watchlist."""
    world = open_world(new_folder(), to="open")
    world.tick(seconds=600)
    assert world.order("AAPL", "buy", 3).status == 200
    assert world.order("SPY", "buy", 1, limit_price=1).status == 200
    assert world.ask("POST", "/v2/watchlists", {"name": "first", "symbols": ["SPY"]}).status == 200
    world.tick(seconds=60)
    return world


def with_real_symbols(document: dict[str, Any]) -> dict[str, Any]:
    """Name the market's own symbols where the file takes any text: requests then get past the first check."""
    for parameter in parameters(document):
        if parameter.get("name") in SYMBOL_NAMES:
            parameter["schema"] = {"type": "string", "enum": list(SYMBOLS)}
    if "/v2/orders" in document["paths"]:
        body = document["paths"]["/v2/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        body["properties"]["symbol"]["enum"] = list(SYMBOLS)
        for name in ("qty", "notional", "limit_price", "stop_price"):
            body["properties"][name]["pattern"] = r"\A[1-9][0-9]{0,2}(\.[0-9]{1,2})?\Z"
    return document


def parameters(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.get("parameters", ())
        for method in METHODS:
            yield from item.get(method, {}).get("parameters", ())
    yield from document["components"].get("parameters", {}).values()


@pytest.mark.campaign
@pytest.mark.parametrize("read", [trading_api, data_api], ids=["trading", "market data"])
def test_no_made_up_request_meets_a_5xx_or_an_undocumented_answer(world: World, read: Callable[[], Api]) -> None:
    # Imported here because it takes longer to load than everything the other tests need.
    import schemathesis
    from schemathesis.core.result import Ok
    from schemathesis.generation import GenerationMode

    api = read()
    schema = schemathesis.openapi.from_dict(with_real_symbols(copy.deepcopy(api.document)))
    statuses: set[int] = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = result.ok().as_strategy(generation_mode=mode)

            @seed(20250303 + (tiers.seed() or 0))
            @settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate,),
            )
            @given(case=cases)
            def play(case: Any) -> None:
                statuses.add(answered(world, api, case))

            play()
    assert {200, 404, 422} <= statuses or {200, 400} <= statuses


def answered(world: World, api: Api, case: Any) -> int:
    """Send a case with the key of the account; fail on an answer that the file does not document."""
    from schemathesis.transport.requests import REQUESTS_TRANSPORT

    fields = REQUESTS_TRANSPORT.serialize_case(case, base_url="http://exchange")
    kept = {name: fields[name] for name in ("method", "url", "params", "json", "data") if name in fields}
    prepared = requests.Request(**kept).prepare()
    method, target = str(prepared.method), prepared.path_url
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
    answer = world.ask(method, target, body, KEYS)
    problems = api.problems(method, target, answer.status, answer.headers.get("content-type", ""), answer.body)
    assert not problems, (method, target, body[:200], problems[:3])
    return answer.status
