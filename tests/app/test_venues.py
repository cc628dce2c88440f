"""Venues by name: the shipped one, those that packages bring, and what a configuration may ask of each."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot import forked
from tests.kit.core.apart import MADE_UP
from tradebot.adapters.state import state_folder
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app import venues
from tradebot.app.baseline import differences, effective
from tradebot.app.keys import is_secret, load_secrets
from tradebot.app.sandbox import market_spec
from tradebot.app.settings import Loaded, accepted_settings, load, venue_flags
from tradebot.app.settings_checks import find_contradictions
from tradebot.app.venues import driver_for
from tradebot.errors import ConfigurationError
from tradebot.model.limits import Protection
from tradebot.model.order import OrderType, Style
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Baseline
from tradebot.model.venue import Capabilities, Edit
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.door import VenueDriver

# A venue that another package brings, installed into a folder without pip: it answers from constants.

PACKAGE = "tradebot_madeup"
MODULE = '''
"""A venue that trades around the clock, and answers from constants."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.door import Checks, Key, VenueCheck, VenueDriver
from tradebot.errors import OperatorError
from tradebot.judging.judgment import HealthState
from tradebot.model.account import Account, BrokerView
from tradebot.model.bar import Session, VenueClock
from tradebot.model.order import OrderType
from tradebot.model.struct_tools import replace
from tradebot.model.venue import ClientIds, Edit, Pairs

CAN = replace(
    ALPACA,
    name="madeup",
    title="Made-up",
    order_types=frozenset({OrderType.LIMIT}),
    client_ids=ClientIds.WHILE_OPEN,
    edit=Edit.NONE,
    pairs=Pairs.TWO_ORDERS,
    short_reserve=Decimal(1),
)


class Connection:
    base_url, feed = "https://madeup.example", "its own"

    def __init__(self, access):
        if not access.secrets.get("madeup_key"):
            raise OperatorError("MADEUP_KEY is not set", "set MADEUP_KEY")


class Reader:
    capabilities = CAN
    rejected_quotes, unreadable_fills = {}, 0

    def clock(self):
        now = datetime.now(UTC)
        return VenueClock(now, True, now + timedelta(days=1), now + timedelta(hours=8))

    def account(self):
        cash = Decimal(5000)
        return Account("MADE0042", "ACTIVE", cash, cash, cash, cash, ())

    def view(self):
        return BrokerView(self.account(), (), ())

    def calendar(self, start, end):
        return []

    def quotes(self, symbols):
        return {}


def door():
    checks = Checks(
        lambda connection, tally, symbols: {},
        lambda connection, tally, symbols, first, last: {},
        lambda connection, tally, symbol: VenueCheck(HealthState.OK, "all prices are real", "answer"),
        "nothing",
    )
    return VenueDriver(
        CAN,
        (Key("madeup_key", ("MADEUP_KEY",)),),
        Connection,
        lambda connection, tally: Reader(),
        lambda connection, tally: None,
        lambda connection, tally: None,
        checks,
    )
'''


def install(folder: Path, name: str = "madeup") -> None:
    """Install the package into a folder, under this name of a venue."""
    (folder / f"{PACKAGE}.py").write_text(MODULE)
    info = folder / f"{PACKAGE}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tradebot.venues]\n{name} = {PACKAGE}:door\n")


ON = """exits: {protection: bot}
execution: {style: marketable}
"""
Run = Callable[..., dict[str, Any]]


def test_the_shipped_venue_is_found_without_looking_at_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str) -> VenueDriver:
        raise AssertionError(name)

    monkeypatch.setattr(venues, "_load_installed", never)
    assert load(None, {}).settings.venue == driver_for("alpaca").capabilities.name == "alpaca"


def test_an_unknown_venue_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(None, {"TRADEBOT_VENUE": "alpacca"})
    assert "there is no venue 'alpacca'; did you mean alpaca?" in refused.value.message


def test_a_package_that_brings_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "otherwise")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="the package installed as 'otherwise' has no venue of that name"):
        driver_for("otherwise")


def test_keys_of_shipped_venues_stay_secret_at_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    environ = {"MADEUP_KEY": "key-of-madeup", "ALPACA_KEY": "key-left-over"}
    assert load_secrets(environ, None, "madeup").venue == {"madeup_key": "key-of-madeup"}
    assert hide_keys(" ".join(environ.values())) == "[hidden] [hidden]"
    assert [name for name in (*environ, "PATH") if is_secret(name, "madeup")] == list(environ)
    assert not is_secret("MADEUP_KEY", "alpaca")


def test_the_second_shipped_venue_keeps_its_keys_and_its_address_from_plug_ins_at_any_venue() -> None:
    environ = {"KRAKEN_FUTURES_KEY": "key-of-coins", "KRAKEN_FUTURES_SECRET": "c2VjcmV0LW9mLWNvaW5z"}
    for venue in ("kraken_futures", "alpaca"):
        load_secrets(environ, None, venue)
        assert hide_keys(" ".join(environ.values())) == "[hidden] [hidden]"
        expected = [*environ, "KRAKEN_FUTURES_URL"]
        assert [name for name in (*environ, "KRAKEN_FUTURES_URL", "PATH") if is_secret(name, venue)] == expected


def test_a_venues_own_file_goes_over_the_shipped_values_and_under_a_persons(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("venue: kraken_futures\nlimits: {max_open_positions: 7}\n")
    loaded = load(mine, {})
    settings, origins = loaded.settings, loaded.origins
    assert (settings.universe[0], settings.limits.max_open_positions) == ("PF_XBTUSD", 7)
    assert origins["limits.price_collar_fraction"] == origins["universe"] == "venues/kraken_futures.yaml"
    assert origins["limits.max_open_positions"] == str(mine)
    assert set(settings.universe) <= settings.sectors.keys()
    assert load(None, {}, {"venue": "kraken_futures"}).settings.universe == settings.universe
    assert load(None, {}).settings.universe[0] == "AAPL"


@pytest.mark.parametrize(("wanted", "names"), [(3, 3), (["PF_XBTUSD"], 1), (56, 56)])
def test_a_smaller_universe_of_a_venue_is_ranked_as_a_whole(wanted: int | list[str], names: int) -> None:
    settings = load(None, {}, {"venue": "kraken_futures", **venue_flags("kraken_futures", wanted)}).settings
    rotation = settings.strategies.in_use()["rotation"]
    assert (len(settings.universe), list(rotation["ranked"])) == (names, settings.universe)  # type: ignore[call-overload]
    assert venue_flags("alpaca", wanted) == {}


def test_every_symbol_of_a_venues_own_file_is_played_by_its_sandbox() -> None:
    settings = load(None, {}, {"venue": "kraken_futures"}).settings
    assert market_spec(settings).venue.names == set(settings.universe)


def able(change: Callable[[Capabilities], Capabilities]) -> Callable[[str], VenueDriver]:
    return lambda name: replace(venues._alpaca(), capabilities=change(ALPACA))


@pytest.mark.parametrize(
    ("lacks", "settings", "sentence"),
    [
        (
            lambda can: replace(can, order_types=frozenset({OrderType.LIMIT, OrderType.STOP})),
            {"execution": {"style": Style.MARKET}},
            "execution.style market: Alpaca takes no market orders; choose marketable or passive",
        ),
        (
            lambda can: replace(can, edit=Edit.NONE),
            {"execution": {"style": Style.PASSIVE}},
            "execution.style passive: Alpaca doesn't let an order change its price; choose marketable",
        ),
        (
            lambda can: replace(can, order_types=frozenset({OrderType.LIMIT, OrderType.MARKET})),
            {"exits": {"protection": Protection.BOTH}},
            "exits.protection both: Alpaca has no resting stop orders; set it to bot",
        ),
        (
            lambda can: replace(can, lives=frozenset()),
            {"exits": {"protection": Protection.VENUE}},
            "exits.protection venue: Alpaca has no resting stop orders; set it to bot",
        ),
    ],
    ids=["market orders", "changes of price", "stops", "orders that rest"],
)
def test_what_a_venue_cannot_carry_is_refused_when_it_is_loaded(
    lacks: Callable[[Capabilities], Capabilities],
    settings: dict[str, Any],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load(None, {}, settings).settings
    monkeypatch.setattr("tradebot.app.settings_checks.driver_for", able(lambda can: can))
    assert sentence not in list(find_contradictions(loaded))
    monkeypatch.setattr("tradebot.app.settings_checks.driver_for", able(lacks))
    assert sentence in list(find_contradictions(loaded))


def test_a_strategys_own_style_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(
        None, {}, {"strategies": {"flow": {"execution": {"style": Style.PASSIVE, "patience_s": 10}}}}
    ).settings
    monkeypatch.setattr("tradebot.app.settings_checks.driver_for", able(lambda can: replace(can, edit=MADE_UP.edit)))
    assert any(
        sentence.startswith("strategies.flow.execution.style passive:") for sentence in find_contradictions(loaded)
    )


def without_venue() -> Baseline:
    """Return a configuration that an earlier release has accepted."""
    values = effective(load(None, {}).settings)
    del values["venue"]
    return Baseline(values, "ann/1", state_folder.datetime.now())  # type: ignore[attr-defined]


def test_a_configuration_that_was_accepted_before_named_the_only_venue() -> None:
    assert differences(load(None, {}).settings, without_venue(), {}) == ()
    again: Loaded = accepted_settings(
        without_venue().values, "", ConfigurationError("the file is empty", "write it again")
    )
    assert again.settings.venue == "alpaca"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return what types a command line in a process that finds the made-up venue installed."""
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    (tmp_path / "tradebot.yaml").write_text(ON)

    def begin() -> None:
        os.chdir(tmp_path)
        sys.path.insert(0, str(packages))
        sys.modules.pop(PACKAGE, None)
        venues._load_installed.cache_clear()

    def typed(*arguments: str, code: int = 0, **variables: str) -> dict[str, Any]:
        environ = {"MADEUP_KEY": "key-of-madeup", "HOME": str(tmp_path), "TRADEBOT_STATE": str(tmp_path / "state")}
        done = forked.run([*arguments, "--json"], first=begin, **{**environ, **variables})
        assert done.returncode == code, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    return typed


def test_a_package_brings_a_venue_and_a_bot_is_made_at_it_and_stays_there(run: Run, tmp_path: Path) -> None:
    made = run("init", "--mode", "paper", "--config", "tradebot.yaml", TRADEBOT_VENUE="madeup")
    assert [made[name] for name in ("mode", "venue", "account")] == ["paper", "madeup", "0042"]
    assert state_folder.read_marker(tmp_path / "state").venue == "madeup"
    with (tmp_path / "state/tradebot.yaml").open("a") as file:
        file.write("venue: madeup\n")
    shown = run("status")
    assert [shown[name] for name in ("mode", "venue", "account")] == ["paper", "madeup", "0042"]
    rows = {row["subject"]: row["found"] for row in run("doctor", code=10)["data"]["judgments"]}
    assert rows["keys"] == "MADEUP_KEY from the environment; they match mode paper and https://madeup.example"
    assert rows["account"].startswith("…0042 is the account of these books, ACTIVE")
    assert rows["data plan"] == "all prices are real"
    assert run("doctor", code=10, MADEUP_KEY="")["data"]["states"]["FAILED"]
    other = run("status", code=2, TRADEBOT_VENUE="alpaca")
    assert other["venue"] == "madeup"
    assert other["error"]["message"] == (
        f"venue (environment: TRADEBOT_VENUE) is alpaca, but {tmp_path / 'state'} was created for madeup"
    )
    halted = run("halt", "--reason", "a test")
    assert (halted["verb"], halted["venue"]) == ("halt", "madeup")


def test_what_the_installed_venue_cannot_carry_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tradebot.yaml").write_text("venue: madeup\nexecution: {style: market}\nexits: {protection: bot}\n")
    refused = run("init", "--mode", "paper", "--config", "tradebot.yaml", code=2)
    assert "execution.style market: Made-up takes no market orders" in refused["error"]["message"]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("FF_XBTUSD_261225", "PF_XBTUSD and FF_XBTUSD_261225 are both BTC"),
        ("RR_XBTUSD", "not a contract of a single coin"),
    ],
)
def test_two_contracts_of_a_coin_are_refused_because_limits_count_by_symbol(second: str, words: str) -> None:
    def flags(*symbols: str) -> dict[str, object]:
        return {"venue": "kraken_futures", **venue_flags("kraken_futures", symbols)}

    assert load(None, {}, flags("PF_XBTUSD", "PF_ETHUSD")).settings.universe == ["PF_XBTUSD", "PF_ETHUSD"]
    with pytest.raises(ConfigurationError, match=words):
        load(None, {}, flags("PF_XBTUSD", second))
