"""The server beside slow verbs, asked by the SDK's own client."""

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from threading import Event

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND

from commands.mcp.server import server_of
from commands.mcp.tools import TOOLS, ToolRunner
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
def test_what_is_not_there_is_refused_by_the_protocol_and_what_does_not_fit_by_the_tool(
    tmp_path: Path, mode: str
) -> None:
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
