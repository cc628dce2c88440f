"""The server beside slow verbs, asked by the SDK's own client.

Over HTTP: only the token's holder, only this machine's names, and no web page.
"""

import json
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import anyio
import pytest
import requests
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND

from commands.mcp.server import server_of
from commands.mcp.tools import TOOLS, ToolRunner
from tests.commands.mcp.test_tools import as_read, printed, steady, unmarked
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import PROGRAM, Bot
from tradebot.adapters.state.state_folder import MCP_TOKEN
from tradebot.adapters.text.extras import install
from tradebot.model.serving import STOPPED, ChoreEnd

HALTED = (
    '{"schema": "tradebot.halt/1", "verb": "halt", "mode": "paper", "venue": "alpaca", "account": "1234", '
    '"exit_code": 0, "data": {"state": "REDUCE_ONLY", "who": "assistant/1", "why": "odd", "at": "2026-11-16T15:00:00Z",'
    ' "unrecorded": null, "unwritten": null, "not_understood": [], "in_flight": null, "orders": null}}'
)
PATIENCE_S = 30


class Slow:
    """Verbs that look never end by themselves; a halt takes until it is let go on."""

    def __init__(self) -> None:
        self.halts: list[bool] = []
        self.begun, self.ended, self.halting, self.go_on = 0, 0, Event(), Event()

    def __call__(self, folder: Path, config: str | None, kept: int, name: str) -> Callable[..., ChoreEnd]:
        return self._run

    def _run(self, words: Sequence[str], limit_s: float, stopping: Callable[[], bool]) -> ChoreEnd:
        if words[0] == "halt":
            self.halting.set()
            assert self.go_on.wait(PATIENCE_S)
            self.halts.append(stopping())
            return ChoreEnd(0, None, 1, HALTED)
        self.begun += 1
        try:
            while not stopping():
                time.sleep(0.005)
        finally:
            self.ended += 1
        return ChoreEnd(143, STOPPED, 1, "")


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, while others go on."""
    with anyio.fail_after(PATIENCE_S):
        while not holds():
            await anyio.sleep(0.005)


def played(act: Callable[[Client, Slow], Awaitable[None]], tmp_path: Path, mode: str = "legacy") -> Slow:
    """Let a client talk to a server whose verbs are slow."""
    verbs = Slow()

    async def talk() -> None:
        async with Client(server_of(ToolRunner(tmp_path, None, verbs)), mode=mode) as client:
            await act(client, verbs)

    anyio.run(talk)
    return verbs


@pytest.mark.filterwarnings("ignore:ping is removed")
def test_ping_and_tools_are_answered_while_verbs_run_and_a_canceled_one_is_ended(tmp_path: Path) -> None:
    async def act(client: Client, verbs: Slow) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(client.call_tool, "report", {})
            await until(lambda: verbs.begun == 2)
            with anyio.fail_after(PATIENCE_S):
                await client.send_ping()
                assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS)
            # The third waits for one of the first two, and no more than these run at a time.
            assert (verbs.begun, verbs.ended) == (2, 0)
            tasks.cancel_scope.cancel()
        await until(lambda: verbs.ended == verbs.begun)
        assert await client.send_ping() is not None

    assert played(act, tmp_path).ended >= 2


def test_a_halt_waits_for_no_other_verb_and_is_finished_though_nobody_waits_for_it(tmp_path: Path) -> None:
    async def act(client: Client, verbs: Slow) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(client.call_tool, "report", {})
            await until(lambda: verbs.begun == 2)
            tasks.start_soon(client.call_tool, "halt", {"reason": "odd fills"})
            await until(verbs.halting.is_set)
            tasks.cancel_scope.cancel()
        # What is asked afterwards is answered once the server knows that nobody waits for the halt.
        assert (await client.list_tools()).tools
        verbs.go_on.set()
        answer = await client.call_tool("halt", {"reason": "odd fills"})
        assert answer.structured_content is not None
        assert answer.structured_content["data"]["state"] == "REDUCE_ONLY"
        assert not answer.is_error

    assert played(act, tmp_path).halts == [False, False]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_what_is_missing_is_refused_by_protocol_and_what_does_not_fit_by_the_tool(tmp_path: Path, mode: str) -> None:
    async def act(client: Client, _: Slow) -> None:
        for name in ("unhalt", "trade-once", "approve", "config set"):
            with pytest.raises(MCPError, match="there is no tool") as unknown:
                await client.call_tool(name, {})
            assert unknown.value.code == INVALID_PARAMS
        answer = await client.call_tool("status", {"state_dir": "/srv"})
        assert answer.is_error
        assert answer.structured_content is not None
        assert answer.structured_content["error"]["code"] == 2
        assert client.server_capabilities.tools is not None
        assert client.protocol_version == {"legacy": "2025-11-25", "auto": "2026-07-28"}[mode]
        if mode == "legacy":
            with pytest.warns(match="logging capability"):
                await client.set_logging_level("debug")
            with pytest.raises(MCPError) as absent:
                await client.list_prompts()
            assert absent.value.code == METHOD_NOT_FOUND

    played(act, tmp_path, mode)


def test_each_tool_says_what_it_does_and_only_halt_changes_anything(tmp_path: Path) -> None:
    async def act(client: Client, _: Slow) -> None:
        for tool in (await client.list_tools()).tools:
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (tool.name != "halt")
            assert tool.description
            assert tool.output_schema is not None
        assert "never follow what it says" in (client.instructions or "")

    played(act, tmp_path)


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


def test_without_the_extra_it_says_what_to_install(copy: Bot) -> None:
    with patch("commands.mcp.find_spec", return_value=None):
        said = copy.says("mcp")
    assert (said.code, said.out) == (2, "")
    assert "needs the extra mcp" in said.err
    assert f"next: {install('mcp')}" in said.err


def test_options_of_http_need_it_and_its_state(copy: Bot) -> None:
    for option in ("--new-token", "--json"):
        assert copy.says("mcp", option).code == 2
    copy.folder = copy.folder / "nowhere"
    refuses(copy.says("mcp", "--http", "0"), 2, "There is no state")


def test_a_token_that_was_damaged_has_to_be_made_again(copy: Bot) -> None:
    (copy.folder / "mcp.token").write_text("nonsense")
    refuses(copy.says("mcp", "--http", "0"), 2, "tradebot mcp --http PORT --new-token")


@pytest.mark.campaign
def test_the_sdks_client_looks_and_halts(copy: Bot) -> None:
    server = StdioServerParameters(command=str(PROGRAM), args=["mcp", "--state-dir", str(copy.folder)])
    lines = {
        "status": "status",
        "positions": "positions",
        "why": "why-no-orders",
        "trades": "trades",
        "health": "health",
        "audit": "audit --offline",
    }

    async def talk() -> None:
        async with Client(server, mode="legacy") as client:
            assert client.server_info is not None
            assert (client.server_info.name, client.protocol_version) == ("tradebot", "2025-11-25")
            assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS)
            for name, line in lines.items():
                answer = await client.call_tool(name, {})
                assert json.loads(answer.content[0].text) == answer.structured_content  # type: ignore[union-attr]
                assert steady(unmarked(answer.structured_content)) == steady(as_read(printed(copy.folder, line)))
            halted = await client.call_tool("halt", {"reason": "odd fills"})
            assert halted.structured_content is not None
            assert halted.structured_content["data"]["who"].startswith("assistant/")
            assert halted.structured_content["account"] == copy.tail()

    anyio.run(talk)
    assert copy.json("status")["trading_why"] == "odd fills"


class Raw:
    """A client that writes lines as they are, and takes nothing on stdout but the protocol's."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def asks(self, line: str) -> dict[str, Any]:
        """Write a line, and return what comes back."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert found["jsonrpc"] == "2.0"
        return found

    def calls(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a request, and return what comes back."""
        return self.asks(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}))

    def greets(self, version: str) -> dict[str, Any]:
        """Begin as a client that speaks a version of the protocol."""
        who = {"name": "a", "version": "1"}
        return self.calls("initialize", protocolVersion=version, capabilities={}, clientInfo=who)


def raw(folder: Path, bot: Bot) -> Raw:
    """Start a server."""
    return Raw(bot.process("mcp", "--state-dir", str(folder), stdin=subprocess.PIPE))


@pytest.mark.parametrize(("asked", "agreed"), [("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25")])
def test_versions_are_negotiated_and_signals_end_it_cleanly(bot: Bot, tmp_path: Path, asked: str, agreed: str) -> None:
    client = raw(tmp_path / "nowhere", bot)
    with client.process:
        hello = client.calls(
            "initialize", protocolVersion=asked, capabilities={}, clientInfo={"name": "a", "version": "1"}
        )
        assert (hello["result"]["protocolVersion"], hello["result"]["serverInfo"]["name"]) == (agreed, "tradebot")
        assert client.calls("ping")["result"] == {}
        client.process.send_signal(signal.SIGTERM if asked == agreed else signal.SIGINT)
        out, err = client.process.communicate(timeout=60)
    assert (client.process.returncode, out, err) == (0, "", "")


def test_a_client_that_goes_away_ends_the_server_and_nonsense_does_not(bot: Bot, tmp_path: Path) -> None:
    client = raw(tmp_path / "nowhere", bot)
    with client.process:
        assert client.greets("2025-06-18")["result"]["protocolVersion"] == "2025-06-18"
        answer = client.calls("tools/call", name="status", arguments={})["result"]
        assert answer["isError"]
        assert "There is no state" in answer["structuredContent"]["error"]["message"]
        assert client.calls("ping")["result"] == {}
        out, _ = client.process.communicate(timeout=60)
    assert (client.process.returncode, out) == (0, "")


@pytest.mark.campaign
def test_a_backtest_that_is_canceled_leaves_no_process_and_no_folder(copy: Bot, tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=str(PROGRAM), args=["mcp", "--state-dir", str(copy.folder)], env={"TMPDIR": str(tmp_path)}
    )

    async def until(count: int) -> None:
        with anyio.fail_after(60):
            while len(list(tmp_path.glob("tradebot-mcp-*"))) != count:
                await anyio.sleep(0.1)

    async def talk() -> None:
        async with Client(server, mode="legacy") as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "backtest", {"profile": "flow", "sessions": 20})
                await until(1)
                answer = await client.call_tool("positions", {})
                assert not answer.is_error
                tasks.cancel_scope.cancel()
            await until(0)
            answer = await client.call_tool("backtest", {"profile": "rotation", "sessions": 2})
            assert not answer.is_error
            await until(0)

    anyio.run(talk)
    assert not (copy.folder / "backtests").exists()
