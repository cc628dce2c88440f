"""Faces that speak over sockets of their own let in programs of this user and of root alone."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tests.kit.exchange.served import served
from tests.kit.exchange.tws import CLIENT, framed, spec
from tradebot.exchange.faces import callers
from tradebot.exchange.process import create


def written(port: int) -> str:
    address = int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)
    return f"{address:08X}:{port:04X}"


@pytest.mark.parametrize(("owner", "welcome"), [(0, True), (os.geteuid(), True), (54321, False)])
def test_a_line_is_for_this_users_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, welcome: bool
) -> None:
    create(tmp_path, spec())
    table = tmp_path / "tcp"
    monkeypatch.setattr(callers, "_CONNECTIONS", (table,))
    with served(tmp_path) as there, socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        ends = written(line.getsockname()[1]), written(there.ports["tws"])
        row = f"0: {ends[0]} {ends[1]} 01 00000000:00000000 00:00000000 00000000 {owner} 0 4711 1"
        table.write_text(f"heading\n{row}\n", encoding="ascii")
        line.settimeout(20)
        line.connect(("127.0.0.1", there.ports["tws"]))
        try:
            line.sendall(b"API\0" + framed("v157..178") + framed(f"71\0002\0{CLIENT}\0\0"))
            assert bool(line.recv(65536)) is welcome
        except ConnectionResetError:
            assert not welcome
