"""How coins are looked at: what is due is read, kept and told, and what isn't known opens nothing.

How the venue is asked for its contracts: once a day, told and kept; and what can't be read changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tests.kit.core.position import candles, coin, rules
from tests.kit.core.scene import NAMES, Scene, call, trade_once, wanted
from tests.kit.values import NOW, fill, quote
from tradebot.desk.proposals import propose
from tradebot.desk.registry import GOES, STAYS, look_at_coins, look_for_coins, registry_of
from tradebot.desk.snapshot import take_desk
from tradebot.errors import TemporaryError
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Gate
from tradebot.model.reasons import Reason
from tradebot.model.registry import Coin, CoinHealth, Tier
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World

FIVE, DAY = timedelta(minutes=5), timedelta(days=1)
TIER, HEALTH = "tier_changed", "data_health_changed"


@dataclass
class Candles:
    """A source of candles; without `counts`, it doesn't answer."""

    counts: dict[str, int] | None = field(default_factory=lambda: dict.fromkeys(NAMES, 250))
    asked: list[tuple[BarNeed, Sequence[str]]] = field(default_factory=list)

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return candles of which the newest has just ended."""
        self.asked.append((need, symbols))
        if self.counts is None:
            raise TemporaryError("the charts don't answer")
        newest = until - timedelta(hours=4)
        return {name: candles(count, newest) for name, count in self.counts.items() if name in symbols and count}


class Coins(Scene):
    """A scene with a registry; each symbol trades ten millions a day."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.candles = Candles()
        for name in NAMES:
            self.trades(name, 10_000_000)

    def trades(self, symbol: str, usd: int | None, spread: str = "0.10") -> None:
        """Let a symbol's quote say what was traded of it, around 100 USD."""
        half, volume = Decimal(spread) / 2, None if usd is None else Decimal(usd)
        around = replace(quote(symbol), bid=100 - half, ask=100 + half, day_volume_usd=volume)
        self.venue.prices[symbol] = replace(around, at=self.venue.now)

    def world(self, *candidates: Candidate, dry_run: bool = False) -> World:
        """Return the world with a registry of its universe, of which JPM is pinned."""
        world = super().world(*candidates, dry_run=dry_run)
        of_registry = replace(world.rules, registry=rules(), pinned=frozenset({"JPM"}))
        return replace(world, rules=of_registry, bars=self.candles)

    def looks(self, later: timedelta = timedelta(0)) -> Mapping[str, Coin]:
        """Let time pass, quote everything again, and look."""
        self.venue.now += later
        for name, old in self.venue.prices.items():
            self.venue.prices[name] = replace(old, at=self.venue.now)
        look_at_coins(self.world(), self.venue.now)
        return self.facts.registry()


def test_the_first_look_ranks_each_symbol_and_keeps_it() -> None:
    scene = Coins()
    scene.trades("MSFT", 600_000)
    scene.trades("XOM", None)
    scene.trades("JPM", 1, "0.4")
    found = scene.looks()
    assert {name: (one.rank.tier, one.rank.known) for name, one in found.items()} == {
        "AAPL": (Tier.A, True), "MSFT": (Tier.B, True), "JPM": (Tier.A, True), "XOM": (None, False),
    }  # fmt: skip
    assert {name: one.data.health for name, one in found.items()} == {
        "AAPL": CoinHealth.HEALTHY, "MSFT": CoinHealth.HEALTHY, "JPM": CoinHealth.DEGRADED, "XOM": CoinHealth.DEGRADED,
    }  # fmt: skip
    assert scene.candles.asked == [(BarNeed("4Hour", 250), sorted(NAMES))]
    assert scene.told(TIER, HEALTH) == []


def test_each_change_is_told_once_with_its_numbers() -> None:
    scene = Coins()
    scene.looks()
    scene.trades("AAPL", 100)
    for _ in range(4):
        scene.looks(FIVE)
    scene.looks(DAY)
    failed = {"before": "HEALTHY", "now": "DEGRADED", "failed": "volume 100 (limit 10000)"}
    fell = {"before": "A", "now": "below", "figures": "100 USD a day, spread 0.10%, price 100"}
    assert scene.told(HEALTH)[:1] == [failed]
    assert scene.told(TIER) == [fell]


def test_a_pause_of_all_entries_is_told_once_with_its_numbers_and_so_is_its_end() -> None:
    scene = Coins()
    for name in NAMES:
        scene.trades(name, None)
    scene.looks()
    for _ in range(5):
        scene.looks(FIVE)
    assert scene.told("entries_paused", "entries_resumed") == [{"healthy": "0", "needed": "4"}]
    for name in NAMES:
        scene.trades(name, 10_000_000)
    for _ in range(12):
        scene.looks(FIVE)
    assert scene.told("entries_resumed") == [{"healthy": "4", "needed": "4"}]
    scene.trades("XOM", 1)
    for _ in range(4):
        scene.looks(FIVE)
    assert scene.told("entries_paused")[1:] == [{"healthy": "3", "needed": "4"}]


def test_only_what_is_due_is_read() -> None:
    scene = Coins()
    scene.looks()
    asked = len(scene.candles.asked)
    scene.facts.put_registry([coin(name, health=CoinHealth.SUSPENDED, at=scene.venue.now) for name in NAMES])
    scene.looks(FIVE)
    assert len(scene.candles.asked) == asked
    assert scene.facts.registry()["AAPL"].data.skipped == 1
    scene.looks(timedelta(minutes=30))
    assert [symbols for _, symbols in scene.candles.asked[asked:]] == [sorted(NAMES)]


def test_complete_candles_are_read_again_once_the_next_one_is_due() -> None:
    scene = Coins()
    scene.candles.counts = {"AAPL": 250, "MSFT": 249}
    scene.looks()
    assert scene.facts.registry()["AAPL"].data.candles_until == NOW + timedelta(hours=4)
    for _ in range(4):
        scene.looks(timedelta(hours=1))
    assert sum("AAPL" in symbols for _, symbols in scene.candles.asked) == 2
    assert scene.facts.registry()["AAPL"].data.health is CoinHealth.HEALTHY


def test_a_source_of_candles_that_doesnt_answer_is_a_failed_check_of_every_coin() -> None:
    scene = Coins()
    scene.candles.counts = None
    found = scene.looks()
    assert {one.data.health for one in found.values()} == {CoinHealth.DEGRADED}
    assert {one.rank.tier for one in found.values()} == {Tier.A}


def test_strategies_are_asked_after_a_look_and_entries_are_judged_by_it() -> None:
    scene = Coins()
    scene.trades("MSFT", 100_000)
    (refused,) = trade_once(scene.world(wanted("MSFT")), call()).candidates
    failed = {decision.gate: decision.reason for decision in refused.decisions if not decision.passed}
    assert failed[Gate.REGISTRY] is Reason.BELOW_TIERS
    (sent,) = trade_once(scene.world(wanted("AAPL")), call(slot="open+35m")).candidates
    assert {Gate.REGISTRY, Gate.DATA_HEALTH} <= {d.gate for d in sent.decisions if d.passed}
    assert sent.terminal is None


def test_what_was_lost_opens_nothing_until_it_is_known_again() -> None:
    scene = Coins()
    scene.looks()
    desk = take_desk(scene.world(), for_entries=True)
    assert desk.tier_of("AAPL") == rules().tiers.a
    scene.facts = type(scene.facts)()
    desk = take_desk(scene.world(), for_entries=True)
    assert desk.tier_of("AAPL") is None
    scene.looks()
    assert take_desk(scene.world(), for_entries=True).tier_of("AAPL") == rules().tiers.a


def test_an_entry_is_cut_to_what_its_tier_leaves() -> None:
    scene = Coins()
    scene.looks()
    whole = trade_once(scene.world(wanted("MSFT")), call()).candidates
    small = rules().tiers.model_copy(
        update={"a": rules().tiers.a.model_copy(update={"max_notional_usd": Decimal(350)})}
    )
    world = scene.world(wanted("AAPL"))
    cut = replace(world, rules=replace(world.rules, registry=rules().model_copy(update={"tiers": small})))
    (record,) = trade_once(cut, call(slot="open+35m")).candidates
    quantities = [intent.quantity for intent in (one.intent for one in scene.ledger.intents())]
    assert whole[0].terminal is record.terminal is None
    assert quantities[0] > 3 == quantities[1]


def test_a_dry_run_and_a_bot_without_a_registry_look_at_nothing() -> None:
    scene = Coins()
    look_at_coins(scene.world(dry_run=True), NOW)
    propose(Scene.world(scene, wanted("AAPL")), NOW)
    assert (scene.facts.registry(), scene.candles.asked) == ({}, [])
    assert registry_of(Scene.world(scene)) is None


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
