"""The way to Interactive Brokers, and what its own checks say."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ibkr.gateway import AT_ONCE, SOON, Message, desk, exchange, intent, made, scripted
from tests.adapters.ibkr.test_orders import cancel, said
from tests.builders import SHIPPED
from tradebot.adapters.ibkr.link import Link
from tradebot.adapters.ibkr.venue import IbkrVenue
from tradebot.adapters.wire.rows import DriftTally
from tradebot.app.keys import load_secrets
from tradebot.app.venues import Access, door_to
from tradebot.errors import OperatorError
from tradebot.judging.judgment import State
from tradebot.model.trading import Mode

DOOR = door_to("ibkr")
CHECKS = DOOR.checks


def test_the_names_of_the_earlier_system_name_its_settings() -> None:
    environ = {"IBKR_HOST": "localhost", "IBKR_PORT": "4012", "IBKR_CLIENT_ID": "9102"}
    secrets = load_secrets(environ, None, "ibkr").venue
    connected: Any = DOOR.connect(Access(SHIPPED.model_copy(update={"mode": Mode.PAPER}), secrets, None))
    assert (connected.base_url, connected.place) == ("localhost:4012", ("localhost", 4012, 9102))
    with pytest.raises(OperatorError, match="doesn't play"):
        DOOR.connect(Access(SHIPPED.model_copy(update={"mode": Mode.SANDBOX}), secrets, None))


def test_its_checks_tell_the_socket_the_login_and_the_client_id() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        looks = {name: look(one.venue, one.tally) for name, look in CHECKS.own.items()}
    assert list(looks) == ["socket", "login", "client_id"]
    assert {look.state for look in looks.values()} == {State.OK}
    assert "version 178" in looks["socket"].found


def test_a_login_of_the_other_kind_names_the_gateways_setting() -> None:
    with scripted() as gateway:
        venue = IbkrVenue(Mode.LIVE, Link("127.0.0.1", gateway.port, 1, AT_ONCE, SOON))
        look = CHECKS.own["login"](venue, DriftTally())
        venue.link.close()
    assert look.state is State.FAILED
    assert "log the Gateway in for live trading" in look.fix


def _prices(fields: Sequence[str]) -> list[Message]:
    if fields[0] == "1":
        return [(1, 6, fields[2], kind, 5000, 1, 0) for kind in (1, 2, 4)]
    return list(said()(fields))


def test_market_data_streams_or_says_what_to_subscribe_to() -> None:
    with scripted(_prices) as gateway, desk(gateway.port) as one:
        assert CHECKS.data_plan(one.venue, one.tally, "ESZ6").state is State.OK
    with scripted(lambda fields: list(said()(fields))) as gateway, desk(gateway.port) as one:
        look = CHECKS.data_plan(one.venue, one.tally, "ESZ6")
    assert look.state is State.FAILED
    assert "Subscribe" in look.fix


def test_orders_of_ours_under_another_client_id_fail_the_check(tmp_path: Path) -> None:
    with exchange(tmp_path / "exchange") as there, desk(there.port) as one, desk(there.port, client_id=77) as other:
        order = made(other.orders.submit(intent()))
        look = CHECKS.own["client_id"](one.venue, one.tally)
        assert (look.state, "another client id" in look.found) == (State.FAILED, True)
        other.orders.cancel(cancel(order.venue_id))
        assert CHECKS.own["client_id"](one.venue, one.tally).state is State.OK


def test_bars_are_looked_for_by_the_venues_clock(tmp_path: Path) -> None:
    with exchange(tmp_path / "exchange") as there, desk(there.port) as one:
        found = CHECKS.bar_times(one.venue, one.tally, ["ESZ6"])
        assert there.now - found["ESZ6"] == timedelta(minutes=1)


def test_a_sandbox_plays_the_months_of_the_universe_and_is_reached_at_its_own_port() -> None:
    settings = SHIPPED.model_copy(update={"mode": Mode.SANDBOX, "universe": ("MESZ6", "MNQZ6")})
    assert DOOR.market is not None
    played = DOOR.market(settings)
    assert {"MESZ6", "MNQZ6"} <= {one.symbol for one in played.instruments}
    assert played.faces == ("tws",)
    access = Access(settings, {}, "http://127.0.0.1:9", ports=lambda: {"tws": 4_321})
    assert DOOR.connect(access).base_url == "127.0.0.1:4321"
