"""The service manager hears what is sent, over both kinds of addresses; one that is deaf or absent delays nothing."""

import os
import socket
from pathlib import Path

import pytest

from tradebot.adapters.state.serve_status import Supervisor


@pytest.mark.parametrize("abstract", [False, True])
def test_each_message_is_one_datagram_of_lines(tmp_path: Path, abstract: bool) -> None:
    name = f"tradebot-test-{os.getpid()}"
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else address)
        supervisor = Supervisor({"NOTIFY_SOCKET": address})
        supervisor.tell(READY="1", STATUS="two\nlines")
        supervisor.tell(WATCHDOG="1")
        assert [manager.recv(4096), manager.recv(4096)] == [b"READY=1\nSTATUS=two lines", b"WATCHDOG=1"]


def test_tell_returns_when_the_manager_is_gone_or_never_reads(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    gone = Supervisor({"NOTIFY_SOCKET": str(address)})
    gone.tell(READY="1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        for _ in range(2_000):
            gone.tell(STATUS="x" * 4_000)
        assert manager.recv(8_192).startswith(b"STATUS=xxx")


@pytest.mark.parametrize("environ", [{"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": ""}, {}])
def test_tell_sends_nothing_without_a_reachable_manager(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("it opened a socket"))
    Supervisor(environ).tell(WATCHDOG="1")
