"""Which contracts roots stand for: chosen once a session, by date or volume, and kept whatever becomes known later."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import pytest

from tests.kit.core.scene import Scene
from tests.kit.values import listing
from tradebot.desk.contracts import choose, with_earlier_rolls
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.instrument import Rolling
from tradebot.model.series import DAY as DAILY
from tradebot.model.series import Series
from tradebot.model.values import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World
from tradebot.venues.ibkr.contracts import months_of, root_of, symbol_of

ON = date(2026, 12, 8)
"""The day on which December's contracts on indexes are left by date."""
CHOSEN = "chosen"


class Volumes:
    """Bars that have nothing but volumes; none of them answers without any."""

    def __init__(self, days: Mapping[str, Mapping[date, float]] | None) -> None:
        self.days = days

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        if self.days is None:
            raise TemporaryError("no bars now")
        found = dict[str, Series]()
        for symbol in symbols:
            volumes = self.days.get(symbol, {})
            starts = array(
                "q", [int(datetime(*day.timetuple()[:3], 12, tzinfo=until.tzinfo).timestamp()) for day in volumes]
            )
            found[symbol] = Series(symbol, DAILY, adjusted=False, starts=starts, volume=array("d", volumes.values()))
        return found


def volumes(**each: Sequence[float]) -> dict[str, dict[date, float]]:
    first = date(2026, 12, 1)
    return {
        symbol: {first + timedelta(days=place): float(one) for place, one in enumerate(numbers)}
        for symbol, numbers in each.items()
    }


class Chooser:
    """A bot whose roots stand for contracts, with a session on each day."""

    def __init__(self, days: Mapping[str, Mapping[date, float]] | None) -> None:
        self.scene, self.bars = Scene(), Volumes(days)
        opens = self.scene.venue.now.replace(year=2026, month=11, day=20, hour=14, minute=30)
        self.opens = opens
        nights = (opens + timedelta(days=count) for count in range(40))
        self.scene.ledger.put_sessions([Session(one.date(), one, one + timedelta(hours=6)) for one in nights])

    def world(self, *, dry_run: bool = False) -> World:
        usual = self.scene.world(dry_run=dry_run)
        rules = replace(usual.rules, coin=lambda symbol: root_of(symbol).name, perpetual=symbol_of)
        return replace(usual, rules=rules, bars=self.bars)

    def on(self, day: date, *names: str, hour: int = 0, dry_run: bool = False) -> tuple[str, ...]:
        now = self.opens + (day - self.opens.date()) + timedelta(hours=hour)
        return choose(self.world(dry_run=dry_run), months_of, names or ("MES",), now).symbols

    @property
    def told(self) -> list[Mapping[str, str]]:
        return self.scene.told(CHOSEN)


def test_a_root_stands_for_the_front_month_until_its_day_and_then_for_the_next_one() -> None:
    bot = Chooser(volumes(MESZ6=[9] * 6, MESH7=[1] * 6))
    assert bot.on(ON - timedelta(days=1)) == ("MESZ6",)
    assert bot.on(ON) == ("MESH7",)
    assert [(told["before"], told["by"]) for told in bot.told] == [("", "date"), ("MESZ6", "date")]


def test_charts_names_and_months_written_by_hand_stand_beside_one_another_in_order() -> None:
    bot = Chooser(volumes(MESZ6=[9], MESH7=[1], GCZ6=[9], GCG7=[9]))
    assert bot.on(date(2026, 11, 27), "XAUUSD", "MES", "6EH7") == ("GCG7", "MESZ6", "6EH7")


def test_two_days_of_larger_volume_choose_the_next_month_before_its_date_and_for_good() -> None:
    bot = Chooser(volumes(MESZ6=[9, 1, 1, 9, 9], MESH7=[1, 9, 9, 1, 1]))
    assert bot.on(date(2026, 12, 3)) == ("MESZ6",)
    assert bot.on(date(2026, 12, 4)) == bot.on(date(2026, 12, 7)) == ("MESH7",)
    assert bot.told[-1]["by"] == "volume"


def test_a_session_keeps_its_contract_whatever_becomes_known_during_it() -> None:
    bot = Chooser(None)
    assert bot.on(date(2026, 12, 4)) == ("MESZ6",)
    bot.bars.days = volumes(MESZ6=[9, 1, 1], MESH7=[1, 9, 9])
    assert bot.on(date(2026, 12, 4), hour=2) == ("MESZ6",)
    assert bot.on(date(2026, 12, 5)) == ("MESH7",)
    assert bot.on(date(2026, 12, 5), "MNQ") == ("MNQZ6",)


@pytest.mark.parametrize(
    ("days", "words"), [(None, "no bars now"), (volumes(MESZ6=[9, 9]), "MESH7 without bars, so only the date counts")]
)
def test_without_volumes_only_the_date_counts_and_that_is_told(
    days: Mapping[str, Mapping[date, float]] | None, words: str
) -> None:
    bot = Chooser(days)
    assert bot.on(date(2026, 12, 7)) == ("MESZ6",)
    assert [told["unknown"] for told in bot.told] == [words]


def test_the_venues_own_days_go_before_those_of_the_exchanges_rules() -> None:
    bot = Chooser(volumes(MESZ6=[9], MESH7=[1]))
    leaves = Rolling(date(2026, 12, 4), date(2026, 12, 11), "MESH7", 570, 930)
    bot.scene.venue.listed["MESZ6"] = replace(listing("MESZ6"), rolling=leaves)
    assert bot.on(date(2026, 12, 3)) == ("MESZ6",)
    assert bot.on(date(2026, 12, 4)) == ("MESH7",)


def test_a_dry_run_keeps_and_tells_nothing() -> None:
    bot = Chooser(volumes(MESZ6=[9], MESH7=[1]))
    assert bot.on(ON, dry_run=True) == ("MESH7",)
    assert (bot.scene.facts.discovery().symbols, bot.told) == ((), [])


def test_what_is_held_leaves_at_once_if_the_root_stands_for_the_next_contract_already() -> None:
    leaves = Rolling(ON, date(2026, 12, 17), "MESH7", 570, 930)
    listings = {"MESZ6": replace(listing("MESZ6"), rolling=leaves), "AAPL": listing("AAPL")}
    today = date(2026, 12, 4)
    assert with_earlier_rolls(listings, frozenset(), today) == listings
    rolled = with_earlier_rolls(listings, frozenset({"MESH7"}), today)
    assert (rolled["MESZ6"].rolling, rolled["AAPL"]) == (replace(leaves, on=today), listings["AAPL"])
