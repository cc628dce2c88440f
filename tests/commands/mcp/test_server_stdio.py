"""A real client over stdin and stdout: the SDK's, and one that looks at every line."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from commands.mcp.tools import TOOLS
from tests.commands.mcp.test_tools_runner import as_read, printed, steady, unmarked
from tests.kit.bot.folder import PROGRAM, Bot


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
def test_versions_are_negotiated_and_signals_end_the_server_cleanly(
    bot: Bot, tmp_path: Path, asked: str, agreed: str
) -> None:
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
