"""How the venue is asked for its contracts: once a day, told and kept; and what can't be read changes nothing."""

from collections.abc import Sequence
from datetime import timedelta

from tests.desk.test_registry import Coins
from tests.kit.core.position import rules
from tests.kit.core.scene import NAMES
from tests.kit.values import fill, quote
from tradebot.desk.registry import GOES, STAYS, look_for_coins
from tradebot.errors import TemporaryError
from tradebot.model.candidate import Candidate
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World

DAY, FIVE = timedelta(days=1), timedelta(minutes=5)
CHANGED, DOUBT, GONE = "universe_changed", "list_not_believed", "coin_unlisted"
FULL = (*NAMES, "IBM", "T")


class Listing(Coins):
    """A scene whose venue can be asked what it lists; without a list, it doesn't answer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.listed: Sequence[str] | None = FULL
        self.asked = 0
        for name in ("IBM", "T"):
            self.venue.prices[name] = quote(name)
            self.trades(name, 10_000_000)

    def world(self, *candidates: Candidate, dry_run: bool = False) -> World:
        """Return the world with discovery, of which JPM is pinned, as the wiring makes it before each pass."""
        self.universe = self.facts.discovery().symbols or NAMES
        world = super().world(*candidates, dry_run=dry_run)
        registry = rules().model_copy(update={"discovery": True})
        return replace(world, rules=replace(world.rules, registry=registry), contracts=self._contracts)

    def _contracts(self) -> Sequence[str]:
        self.asked += 1
        if self.listed is None:
            raise TemporaryError("the list doesn't answer")
        return self.listed

    def asks(self, later: timedelta = DAY, *, dry_run: bool = False) -> tuple[str, ...]:
        """Let time pass, quote everything again, and ask if it is due; return what is traded then."""
        self.venue.now += later
        self.venue.prices = {name: replace(one, at=self.venue.now) for name, one in self.venue.prices.items()}
        look_for_coins(self.world(dry_run=dry_run), self.venue.now)
        return self.facts.discovery().symbols


def test_the_venue_is_asked_once_a_day_and_a_new_coin_is_told() -> None:
    scene = Listing()
    assert set(scene.asks()) == set(FULL)
    assert scene.told(CHANGED) == [{"added": "IBM, T", "removed": "", "symbols": "6"}]
    assert (scene.asks(FIVE), scene.asked) == (scene.facts.discovery().symbols, 1)
    scene.trades("IBM", 1)
    assert set(scene.asks()) == {*NAMES, "T"}
    assert scene.asked == 2


def test_without_discovery_and_in_a_dry_run_nothing_is_asked() -> None:
    scene = Listing()
    assert scene.asks(dry_run=True) == ()
    look_for_coins(Coins.world(scene), scene.venue.now)
    assert scene.asked == 0


def test_a_list_that_cant_be_read_changes_nothing_is_told_once_and_asked_for_again() -> None:
    scene = Listing()
    known = scene.asks()
    scene.listed = None
    assert (scene.asks(), scene.asks(FIVE), scene.asks(FIVE)) == (known, known, known)
    assert scene.told(DOUBT) == [{"why": "the list doesn't answer"}]
    assert scene.asked == 4
    scene.listed = FULL
    assert (scene.asks(FIVE), scene.facts.discovery().problem) == (known, "")


def test_a_list_that_is_suddenly_half_as_long_isnt_believed_for_a_day() -> None:
    scene = Listing()
    known = scene.asks()
    scene.listed = FULL[:3]
    assert (scene.asks(), scene.asks(FIVE)) == (known, known)
    assert scene.told(DOUBT) == [{"why": "it names 3 contracts, but the previous list named 6"}]
    assert set(scene.asks()) == {"AAPL", "MSFT", "JPM"}
    assert len(scene.told(GONE)) == 3


def test_prices_that_cant_be_read_change_nothing() -> None:
    scene = Listing()
    known = scene.asks()
    scene.venue.prices = {}
    assert scene.asks() == known


def test_at_the_first_look_a_configured_coin_whose_price_isnt_known_stays_and_a_new_one_waits() -> None:
    scene = Listing()
    for name in ("MSFT", "T"):
        del scene.venue.prices[name]
    assert set(scene.asks()) == {*NAMES, "IBM"}


def test_a_coin_that_is_gone_stays_with_its_position_and_is_told() -> None:
    scene = Listing()
    scene.asks()
    scene.ledger.apply_fills([fill(1, "T")], scene.venue.now)
    scene.listed = FULL[:-2]
    assert {"IBM", "T"} - {*scene.asks()} == {"IBM"}
    assert scene.told(GONE) == [{"message": GOES}, {"message": STAYS}]
