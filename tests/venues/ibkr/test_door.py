"""The way to Interactive Brokers, and what its own checks say."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.kit.adapters.ibkr import AT_ONCE, SOON, Message, desk, exchange, intent, made, scripted
from tests.kit.bot.folder import KEYS, Bot, discard
from tests.kit.bot.state import make_state
from tests.kit.values import SHIPPED
from tests.venues.ibkr.test_orders import cancel, said
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.keys import load_secrets
from tradebot.app.loading import Options, load_for
from tradebot.app.venues import driver_for
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.judging.judgment import HealthState
from tradebot.model.trading import Mode
from tradebot.venues.door import Access
from tradebot.venues.ibkr.capabilities import TRADING_ID
from tradebot.venues.ibkr.contracts import CURRENCY, METALS
from tradebot.venues.ibkr.link import IbkrLink, IbkrVenue, shared_link

DOOR = driver_for("ibkr")
CHECKS = DOOR.checks
SIX = ("socket", "login", "client_id", "data plan", "clock", "account")
"""The rows of `doctor` about the Gateway; without a connection, the row `broker` says which setting is wrong."""
BROKEN: Sequence[tuple[str, object, str, str, str]] = (
    ("GET /v1/tws/session", {"hang": "1h"}, "broker", "sent neither accounts nor ids", "log it in"),
    ("positions", {"hang": "1h"}, "broker", "no positions", "still be logging in, or waiting for you"),
    ("quotes", "empty_body", "data plan", "MESZ6: ", "Subscribe this user name to CME and COMEX"),
    ("clock", {"clock_skew": "1h"}, "clock", "3,600.0 s apart", "no entries and no timed exits"),
    ("account", {"missing_field": "currency"}, "account", "is missing in USD", "has to be USD"),
)
"""What goes wrong at the embedded exchange: the request, the fault, and the row that tells it, with what to do."""


def test_the_names_of_the_earlier_system_name_its_settings() -> None:
    environ = {"IBKR_HOST": "localhost", "IBKR_PORT": "4012", "IBKR_CLIENT_ID": "9102"}
    secrets = load_secrets(environ, None, "ibkr").venue
    connected: Any = DOOR.connect(Access(SHIPPED.model_copy(update={"mode": Mode.PAPER}), secrets, None))
    assert (connected.base_url, connected.place) == ("localhost:4012", ("localhost", 4012, 9102))
    with pytest.raises(OperatorError, match="doesn't simulate"):
        DOOR.connect(Access(SHIPPED.model_copy(update={"mode": Mode.SANDBOX}), secrets, None))


def test_its_checks_tell_the_socket_the_login_and_the_client_id() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        looks = {name: look(one.venue, one.tally) for name, look in CHECKS.own.items()}
    assert (list(looks), {look.state for look in looks.values()}) == (
        ["socket", "login", "client_id"],
        {HealthState.OK},
    )
    assert "version 178" in looks["socket"].found


def test_a_login_of_the_other_kind_names_the_gateways_setting() -> None:
    with scripted() as gateway:
        venue = IbkrVenue(Mode.LIVE, IbkrLink("127.0.0.1", gateway.port, 1, AT_ONCE, SOON))
        look = CHECKS.own["login"](venue, DriftTally())
        venue.link.close()
    assert look.state is HealthState.FAILED
    assert "log the Gateway in for live trading" in look.fix


def _prices(fields: Sequence[str]) -> list[Message]:
    if fields[0] == "1":
        return [(1, 6, fields[2], kind, 5000, 1, 0) for kind in (1, 2, 4)]
    return list(said()(fields))


def test_market_data_streams_or_says_what_to_subscribe_to() -> None:
    with scripted(_prices) as gateway, desk(gateway.port) as one:
        assert CHECKS.data_plan(one.venue, one.tally, "ESZ6").state is HealthState.OK
    with scripted(lambda fields: list(said()(fields))) as gateway, desk(gateway.port) as one:
        look = CHECKS.data_plan(one.venue, one.tally, "ESZ6")
    assert look.state is HealthState.FAILED
    assert "Subscribe" in look.fix


def test_orders_of_ours_under_another_client_id_fail_the_check(tmp_path: Path) -> None:
    with exchange(tmp_path / "exchange") as there, desk(there.port) as one, desk(there.port, client_id=77) as other:
        order = made(other.orders.submit(intent()))
        look = CHECKS.own["client_id"](one.venue, one.tally)
        assert (look.state, "another client id" in look.found) == (HealthState.FAILED, True)
        other.orders.cancel(cancel(order.venue_id))
        assert CHECKS.own["client_id"](one.venue, one.tally).state is HealthState.OK


def test_bars_are_looked_for_by_the_venues_clock(tmp_path: Path) -> None:
    with exchange(tmp_path / "exchange") as there, desk(there.port) as one:
        assert there.now - CHECKS.bar_times(one.venue, one.tally, ["ESZ6"])["ESZ6"] == timedelta(minutes=1)


def test_a_sandbox_plays_the_months_of_the_universe_and_is_reached_at_its_own_port() -> None:
    settings = SHIPPED.model_copy(update={"mode": Mode.SANDBOX, "universe": ("MESZ6", "MNQZ6")})
    assert DOOR.market is not None
    played = DOOR.market(settings)
    assert {"MESZ6", "MNQZ6"} <= {one.symbol for one in played.instruments}
    assert played.faces == ("tws",)
    access = Access(settings, {}, "http://127.0.0.1:9", ports=lambda: {"tws": 4_321})
    assert DOOR.connect(access).base_url == "127.0.0.1:4321"


def test_a_bot_keeps_the_calendars_of_all_contracts_in_its_universe(tmp_path: Path) -> None:
    now = datetime(2026, 11, 19, 20, tzinfo=UTC)
    state = state_folder.create(tmp_path / "bot", "sandbox", "DU1", "user", now, "ibkr")
    SqliteLedger.create(state.path, "DU1", now).close()
    (state.path / "tradebot.yaml").write_text("venue: ibkr\nuniverse: [MES, XAUUSD, 6EZ6]\n")
    with closing(App(state, load_for(state, Options(str(state.path)), {}), {})) as app:
        app.ensure_calendar(now)
        known = app.ledger.calendars(now.date(), now.date())
    assert {name: one.close.hour for name, (one, *_) in known.items()} == {"": 22, METALS: 22, CURRENCY: 22}


def rows_of(bot: Bot) -> dict[str, dict[str, str]]:
    """Return the rows of `doctor`."""
    return {row["subject"]: row for row in bot.says("doctor", "--json").data["judgments"]}


@contextmanager
def connected_to(port: int, **pace: int) -> Iterator[IbkrLink]:
    """Return this process's connection to a Gateway, which doesn't wait for long; end it afterwards."""
    link = shared_link("127.0.0.1", port, TRADING_ID, **pace)
    before, link.patience = link.patience, SOON
    try:
        yield link
    finally:
        link.close()
        link.patience = before


@pytest.fixture
def paper(here: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return a bot of an account on paper."""
    folder, at = here / "paper", datetime(2026, 11, 16, 14, tzinfo=UTC)
    configuration = "venue: ibkr\nuniverse: [ESZ6]\nsectors: {ESZ6: indexes}\n"
    make_state(folder, "DU1", at, configuration, mode="paper", venue="ibkr")
    return Bot(folder, capsys)


def test_doctor_says_which_of_six_things_is_wrong_with_the_gateway(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = Bot(here / "bot", capsys)
    assert bot.says("init", "--venue", "ibkr").code == 0
    try:
        bot.does("exchange tick open", "exchange tick 2h")
        well = rows_of(bot)
        assert {name: well[name]["state"] for name in SIX} == dict.fromkeys(SIX, "OK")
        port = int(well["socket"]["found"].partition("127.0.0.1:")[2].split()[0])
        with connected_to(port, reads_a_second=0) as link:
            for request, fault, row, found, fix in BROKEN:
                link.hang_up()
                rule = {"name": "wrong", "when": {"request": request}, "what": fault}
                assert requests.post(f"{bot.url}/exchange/v1/faults", json=[rule], headers=KEYS, timeout=60).ok
                told = rows_of(bot)
                requests.delete(f"{bot.url}/exchange/v1/faults", headers=KEYS, timeout=60)
                wrong_in(told, row, found, fix)
            link.hang_up()
            with desk(port, client_id=TRADING_ID) as other:
                other.reader.clock()
                wrong_in(rows_of(bot), "broker", "client id 9002 is in use", "another IBKR_CLIENT_ID")
    finally:
        discard(bot.folder)


def wrong_in(told: dict[str, dict[str, str]], row: str, found: str, fix: str) -> None:
    """Check that this row alone says what is wrong; after the broker's, nothing more is asked."""
    assert (told[row]["state"], found in told[row]["found"], fix in told[row]["next"]) == ("FAILED", True, True), told
    others = {told[name]["state"] for name in SIX if name != row}
    assert others == ({"SKIPPED"} if row == "broker" else {"OK"}), told


def test_doctor_on_paper_names_port_and_login(paper: Bot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IBKR_PORT", "4001")
    keys = rows_of(paper)["keys"]
    assert ("4001 is for live" in keys["found"], keys["next"]) == (True, "set IBKR_PORT=4002")
    with exchange(tmp_path / "exchange") as there, connected_to(there.port):
        # What the embedded exchange plays is not an account on paper, and its time isn't this machine's.
        monkeypatch.setenv("IBKR_PORT", str(there.port))
        told = rows_of(paper)
    states = {name: told[name]["state"] for name in SIX}
    assert states == dict.fromkeys(SIX, "OK") | dict.fromkeys(("login", "clock", "account"), "FAILED")
    assert told["login"]["next"] == "In the Gateway, log the Gateway in for paper trading, and check IBKR_PORT"
    assert "timedatectl" in told["clock"]["next"]
    with connected_to(there.port):
        wrong_in(
            rows_of(paper), "broker", "nothing listens", "API, Settings, Socket port; or set IBKR_HOST and IBKR_PORT"
        )


def test_the_three_switches_together_are_read_as_at_every_venue(paper: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    together = {"ALLOW_ORDERS": "1", "DRY_RUN": "0", "ENABLE_ORDER_EXEC": "1"}
    for name, wrong in ((None, ""), *((name, str(1 - int(text))) for name, text in together.items())):
        for each, text in together.items():
            monkeypatch.setenv(each, wrong if each == name else text)
        row = next(one for one in paper.json("doctor", "--offline")["judgments"] if one["subject"] == "permission")
        assert (row["state"] == "OK") is (name is None), row
        assert name is None or name in row["found"]
