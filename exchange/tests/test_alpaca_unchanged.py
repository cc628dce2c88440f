"""What the exchange logs and answers as Alpaca stays the same to the byte: older folders must still replay."""

import hashlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.tests.kit.app import SPEC, open_world
from exchange.tests.kit.random_commands import Commands
from papervenue.market.spec import NEXT_BAR, PAPER, FillSpec
from papervenue.process import create

READ = (
    *("/v2/account", "/v2/positions", "/v2/orders?status=all&limit=500&nested=true", "/v2/account/activities"),
    *("/v2/calendar?start=2025-02-20&end=2025-03-10", "/v3/calendar/NYSE?start=2025-03-03", "/v2/clock", "/v3/clock"),
    *("/v2/assets", "/v2/account/portfolio/history", "/v2/account/configurations", "/v2/watchlists"),
    *("/v2/stocks/bars?symbols=AAPL,SPY,ZAAC&timeframe=5Min&start=2025-02-28&limit=500", "/v2/stocks/AAPL/snapshot"),
    *("/v2/stocks/quotes?symbols=AAPL&start=2025-03-03&limit=100", "/api/stock/AAPL/net-prem-ticks"),
)


@pytest.mark.parametrize(
    ("fill", "digest"),
    [
        (NEXT_BAR, "bcee9624e6932ac63bf6b01838325cc3282ada1c8d9827657d1de9148ffab14d"),
        (PAPER, "fdc8cf4d4a51c04d61b4c33277d571636e1114cf4594e416f8a6d7c61f15360f"),
    ],
    ids=["next-bar", "paper"],
)
def test_log_and_answers_of_a_session_are_what_they_were(tmp_path: Path, fill: FillSpec, digest: str) -> None:
    create(tmp_path, replace(SPEC, fill=fill, corporate_actions=True))
    world = open_world(tmp_path)
    world.exchange.faults.book._now_s = lambda: 0.0
    world.tick(to="open")
    commands = Commands(world, 4)
    for _ in range(150):
        commands.step()
    seen = hashlib.sha256()
    for path in READ:
        answer = world.ask("GET", path)
        seen.update(f"{path} {answer.status} ".encode() + answer.body)
    world.exchange.commit()
    seen.update(world.exchange.log.path.read_bytes() + world.exchange.stored.spec.to_json().encode())
    assert seen.hexdigest() == digest
