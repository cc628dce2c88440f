"""Over HTTP: only the token's holder, only this machine's names, and no web page."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import requests
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from commands.shared.service import listening
from tests.kit.bot.folder import Bot
from tradebot.adapters.state.state_folder import MCP_TOKEN
from tradebot.errors import OperatorError

ACCEPTED = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}},
}


@contextmanager
def served(bot: Bot, *more: str) -> Iterator[Any]:
    """Serve a bot, and yield what it says of where it answers; a signal ends it."""
    process = bot.process("mcp", "--http", "0", "--json", *more)
    with process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["data"]
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")


def asked(url: str, **headers: str) -> "requests.Response":
    return requests.post(url, json=HELLO, headers={**ACCEPTED, **headers}, timeout=60)


def test_only_the_token_from_this_machine_and_from_no_page_is_answered(copy: Bot) -> None:
    with served(copy) as data:
        url, token = data["url"], f"Bearer {data['token']}"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/mcp", url)
        assert asked(url, Authorization=token).status_code == 200
        assert asked(url, Authorization=token, Origin=url.removesuffix("/mcp")).status_code == 200
        for headers, status in (
            ({}, 401),
            ({"Authorization": f"{token}x"}, 401),
            ({"Authorization": f"Basic {data['token']}"}, 401),
            ({"Authorization": "Bearer \xff"}, 401),
            ({"Authorization": token, "Host": "example.org"}, 421),
            ({"Authorization": token, "Host": "127.0.0.1:1"}, 421),
            ({"Authorization": token, "Origin": "https://example.org"}, 403),
            ({"Authorization": token, "Origin": "http://127.0.0.1:1"}, 403),
            ({"Authorization": token, "Origin": "null"}, 403),
        ):
            assert asked(url, **headers).status_code == status, headers
            got = requests.get(url, headers={**ACCEPTED, **headers}, timeout=60)
            assert got.status_code == status, headers
        assert requests.get(url.removesuffix("/mcp"), timeout=60).status_code == 401
        large = requests.post(url, data="x" * 200_000, headers={**ACCEPTED, "Authorization": token}, timeout=60)
        assert large.status_code == 413
        assert data["token"] not in (copy.folder / MCP_TOKEN).read_text()
        assert (copy.folder / MCP_TOKEN).stat().st_mode & 0o777 == 0o600


def test_the_sdks_client_looks_with_the_token_which_is_shown_once_and_can_be_replaced(copy: Bot) -> None:
    async def look(data: Any, token: str) -> None:
        http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
        transport = streamable_http_client(data["url"], http_client=http)
        async with http, Client(transport, mode="legacy") as client:
            answer = await client.call_tool("positions", {})
            assert answer.structured_content is not None
            assert answer.structured_content["account"] == copy.tail()

    with served(copy) as first:
        anyio.run(look, first, first["token"])
    with served(copy) as again:
        assert (again["token"], again["token_made_at"]) == (None, first["token_made_at"])
        assert asked(again["url"], Authorization=f"Bearer {first['token']}").status_code == 200
    with served(copy, "--new-token") as other:
        assert asked(other["url"], Authorization=f"Bearer {first['token']}").status_code == 401
        assert asked(other["url"], Authorization=f"Bearer {other['token']}").status_code == 200


def test_a_port_that_is_taken_is_named() -> None:
    with (
        listening("127.0.0.1", 0, "tradebot mcp --http 0") as taken,
        pytest.raises(OperatorError, match="can't be used: Address already in use"),
    ):
        listening("127.0.0.1", taken.getsockname()[1], "tradebot mcp --http 0")
