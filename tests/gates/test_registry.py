"""The gates of the registry: each way of saying no with its numbers, and that nobody is asked without a registry."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.position import coin, figures, rules
from tests.kit.values import LIMITS, NOW, ask, book, candidate, desk, listing, quote
from tradebot.gates.evaluation import decide
from tradebot.gates.registry import eligible, enough_healthy, failures, format_figures
from tradebot.gates.sizing import entry_size
from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.registry import Coin, CoinHealth, DataCheck, Failed, Figures, Registry, Tier
from tradebot.model.struct_tools import replace

FAIL, UNKNOWN = Verdict.FAIL, Verdict.UNKNOWN
OLD = NOW - timedelta(seconds=rules().max_age_s + 1)
WIDE = (Failed(DataCheck.SPREAD, Decimal("0.12"), Decimal("0.1")), Failed(DataCheck.VOLUME, None, Decimal(10_000)))
NO_QUOTE = (Failed(DataCheck.QUOTE, None, None),)


def judged(*coins: Coin, symbols: tuple[str, ...] = ("AAPL",)) -> tuple[Decision, Decision]:
    """Return what the gates of data and of the coin say about AAPL."""
    registry = Registry(rules(), symbols, {one.symbol: one for one in coins})
    return enough_healthy(registry, NOW), eligible(registry, "AAPL", NOW)


def with_figures(read: Figures, tier: Tier | None = None, *, known: bool = True) -> Coin:
    one = coin("AAPL", tier, known=known)
    return replace(one, rank=replace(one.rank, figures=read))


def unfit(health: CoinHealth, failed: tuple[Failed, ...]) -> Coin:
    one = coin("AAPL", health=health)
    return replace(one, data=replace(one.data, failed=failed))


@pytest.mark.parametrize(
    ("coins", "reason", "verdict", "observed", "limit"),
    [
        ((), Reason.TIER_UNKNOWN, UNKNOWN, "never looked at", None),
        ((coin("AAPL", at=OLD),), Reason.TIER_UNKNOWN, UNKNOWN, "90001 s old", "90000 s"),
        ((with_figures(Figures(why="isn't listed"), known=False),), Reason.TIER_UNKNOWN, UNKNOWN, "isn't listed", None),
        ((with_figures(figures(None), known=False),), Reason.TIER_UNKNOWN, UNKNOWN, "no volume of 24 hours", None),
        (
            (with_figures(figures(120_000, "0.0031", "0.0000046")),),
            Reason.BELOW_TIERS,
            FAIL,
            "120,000 USD a day, spread 0.31%, price 0.0000046",
            "250,000 USD a day, spread 0.50%, price 0.01",
        ),
        (
            (unfit(CoinHealth.DEGRADED, WIDE),),
            Reason.DATA_DEGRADED,
            FAIL,
            "spread 0.12 (limit 0.1), volume unknown (limit 10000)",
            None,
        ),
        ((unfit(CoinHealth.SUSPENDED, NO_QUOTE),), Reason.DATA_SUSPENDED, FAIL, "no quote", None),
        ((unfit(CoinHealth.DEGRADED, ()),), Reason.DATA_DEGRADED, FAIL, "waits for more looks", None),
    ],
)
def test_a_coin_is_refused_with_its_reason_and_its_numbers(
    coins: tuple[Coin, ...], reason: Reason, verdict: Verdict, observed: str, limit: Number | str | None
) -> None:
    _, said = judged(*coins)
    assert (said.gate, said.verdict, said.reason, said.observed, said.limit) == (
        Gate.REGISTRY, verdict, reason, observed, limit,
    )  # fmt: skip


def test_a_coin_with_a_tier_and_healthy_data_passes_with_its_tier() -> None:
    assert judged(coin("AAPL", Tier.B)) == (
        Decision(Gate.DATA_HEALTH, Verdict.PASS, None, 1, 1),
        Decision(Gate.REGISTRY, Verdict.PASS, None, "B"),
    )


@pytest.mark.parametrize(("healthy", "verdict"), [(30, Verdict.PASS), (29, FAIL)])
def test_entries_pause_while_too_few_coins_are_healthy(healthy: int, verdict: Verdict) -> None:
    symbols = tuple(f"C{number}" for number in range(56))
    found = [
        coin(symbol, health=[CoinHealth.DEGRADED, CoinHealth.HEALTHY][n < healthy]) for n, symbol in enumerate(symbols)
    ]
    of_data, _ = judged(*found, symbols=symbols)
    assert (of_data.verdict, of_data.observed, of_data.limit) == (verdict, healthy, 30)
    assert of_data.reason is (Reason.TOO_FEW_HEALTHY if verdict is FAIL else None)


def test_both_are_asked_of_an_entry_beside_the_instrument_and_only_with_a_registry() -> None:
    registry = Registry(rules(), ("AAPL",), {"AAPL": coin("AAPL")})
    gates = [decision.gate for decision in decide(ask(desk=desk(registry=registry)))]
    assert gates.index(Gate.REGISTRY) == gates.index(Gate.DATA_HEALTH) + 1
    assert {Gate.REGISTRY, Gate.DATA_HEALTH}.isdisjoint(decision.gate for decision in decide(ask()))


def test_what_isnt_known_is_left_out_of_the_words() -> None:
    assert (format_figures(Figures(why="gone")), format_figures(Figures(Decimal(5), why="gone"))) == (
        "gone",
        "5 USD a day, gone",
    )
    assert (format_figures(figures(None)), failures(())) == ("spread 0.10%, price 1", "")


@pytest.mark.parametrize(("room", "quantity"), [("99", 0), ("-1", 0), ("505", 5), ("1000000", None)])
def test_an_entry_is_cut_to_the_room_that_its_tier_leaves(room: str, quantity: int | None) -> None:
    of = (candidate(), listing("AAPL"), quote(), book(), LIMITS, Decimal(1))
    whole, cut = entry_size(*of), entry_size(*of, room_usd=Decimal(room))
    assert cut.quantity == (whole.quantity if quantity is None else quantity)
    assert cut.notional_usd <= max(Decimal(room), Decimal(0))
