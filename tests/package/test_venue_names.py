"""Which places know a venue by name: the list is short, each place has its reason, and no other may join unseen."""

from collections.abc import Mapping

import pytest

from tests.package.test_house import ROOT, modules

ALLOWED: Mapping[str, str] = {
    "commands/doctor/machine.py": "the version of alpaca-py, which is installed whatever the venue",
    "commands/exchange/__init__.py": "the limit of requests that Alpaca's API has, in the help of an option",
    "commands/exchange/serve.py": "the embedded exchange speaks Alpaca's API, to any client",
    "commands/shared/times.py": "the day that times are shown by before a bot is opened, as a halt does",
    "commands/serve/web_pages.py": "a field of the health page, whose name other programs read",
    "config/backtest.yaml": "a comment: what the costs of a backtest stand for",
    "config/base.yaml": "the venue's own section, and the choice of a venue",
    "config/live.yaml": "the venue's own section",
    "config/paper.yaml": "the venue's own section",
    "config/sandbox.yaml": "the venue's own section",
    "tradebot/lab/backtest/setup.py": "a backtest plays Alpaca on the engine: its feed",
    "tradebot/lab/backtest/recorded_day.py": "a backtest plays Alpaca on the engine: its feed",
    "tradebot/lab/backtest/bars.py": "a backtest plays Alpaca on the engine: its day",
    "tradebot/lab/backtest/order_requests.py": "a backtest plays Alpaca on the engine: what it answers",
    "tradebot/lab/backtest/engine_conversion.py": "a backtest plays Alpaca on the engine: its words for states",
    "tradebot/lab/backtest/venue.py": "a backtest plays Alpaca on the engine: its ends and what it can do",
    "tradebot/app/settings_schema.py": "the venue's own section of the configuration",
}
"""The places outside of the venues, the adapters and the exchange that name Alpaca, each with its reason."""
KRAKEN: Mapping[str, str] = {
    "tradebot/lab/backtest/http_exchange.py": "a backtest reads the charts of Kraken's face without asking for pages",
    "config/venues/kraken_futures.yaml": "what a bot there begins with",
    "config/profiles/smart_money.yaml": "a profile says which venue it is for",
    "config/profiles/smart_money_february.yaml": "a profile says which venue it is for",
}
"""The places that name Kraken Futures."""
INSIDE = ("tradebot/venues/", "tradebot/app/venues.py", "tradebot/adapters/", "exchange/src/papervenue/")


def naming(venue: str) -> set[str]:
    """Return the files of code and configuration that name a venue, without those that are inside."""
    files = [*modules("tradebot", "commands", "jobs"), *(ROOT / "config").rglob("*.yaml")]
    found = {str(file.relative_to(ROOT)) for file in files if venue in file.read_text().lower()}
    return {place for place in found if not place.startswith(INSIDE)}


@pytest.mark.parametrize(("venue", "allowed"), [("alpaca", ALLOWED), ("kraken", KRAKEN)])
def test_no_other_place_names_a_venue(venue: str, allowed: Mapping[str, str]) -> None:
    assert naming(venue) - allowed.keys() == set()


@pytest.mark.parametrize(("venue", "allowed"), [("alpaca", ALLOWED), ("kraken", KRAKEN)])
def test_no_place_stays_on_a_list_that_names_its_venue_no_more(venue: str, allowed: Mapping[str, str]) -> None:
    assert allowed.keys() - naming(venue) == set()


def test_the_core_names_no_venue() -> None:
    shell = ("tradebot/app/", "tradebot/lab/backtest/")
    core = {place for place in ALLOWED if place.startswith("tradebot/") and not place.startswith(shell)}
    assert core == set()
