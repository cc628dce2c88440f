"""The costs in a market's specification, and the file of the funds rate."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.tests.kit.app import SHARED, SPEC, open_world
from papervenue.market.rates import NO_RATES, Rates, rates_of, read_rates
from papervenue.market.sessions import calendar_from_rows
from papervenue.market.spec import FUNDS, MODELS, NEXT_BAR, NO_COSTS, Costs, MarketError, MarketSpec, fill_spec
from papervenue.process import create
from papervenue.state import read_market

PARTS = st.decimals(0, 1, places=6)
RATE = PARTS | st.just(FUNDS)
COSTS = st.fixed_dictionaries(
    {"rates_path": st.just("rates.csv")},
    optional={
        "commission_bps": st.decimals(0, 1000, places=3),
        "commission_per_share_usd": PARTS,
        "commission_min_usd": PARTS,
        "margin_rate": RATE,
        "margin_spread": st.decimals(-1, 1, places=4),
        "cash_rate": RATE,
        "borrow_fee_rate": PARTS,
        "short_rebate_rate": RATE,
        "posted": st.sampled_from(["session", "month"]),
    },
)
FILLS = st.fixed_dictionaries(
    {"model": st.sampled_from(MODELS)},
    optional={"slippage_bps": st.decimals(0, 1000, places=2), "quotes": st.sampled_from(["spread", "last"])},
)


@given(costs=COSTS, fill=FILLS)
def test_specification_with_costs_survives_a_round_trip(costs: dict[str, Any], fill: dict[str, Any]) -> None:
    spec = replace(SPEC, costs=Costs(**costs), fill=fill_spec(**fill))
    assert MarketSpec.from_json(spec.to_json()) == spec
    assert MarketSpec.from_json(spec.to_json()).to_json() == spec.to_json()


DAILY: dict[str, Any] = {"source": "daily", "path": "days.csv", "start": date(1995, 1, 3)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"costs": Costs(commission_bps=Decimal(1001))}, "costs.commission_bps must be from 0 to 1000, not 1001"),
        ({"costs": Costs(commission_min_usd=Decimal(-1))}, "costs.commission_min_usd must be"),
        ({"costs": Costs(borrow_fee_rate=Decimal("NaN"))}, "costs.borrow_fee_rate must be from 0 to 1"),
        ({"costs": Costs(margin_rate=Decimal(5))}, "costs.margin_rate must be from 0 to 1, not 5"),
        ({"costs": Costs(cash_spread=Decimal(-2))}, "costs.cash_spread must be from -1 to 1"),
        ({"costs": NO_COSTS._replace(posted="yearly")}, "unknown costs.posted 'yearly'"),  # type: ignore[arg-type]
        ({"costs": Costs(cash_rate=FUNDS)}, "costs.rates_path names no file"),
        ({"fill": NEXT_BAR._replace(slippage_bps=Decimal(-1))}, "fill.slippage_bps must be from 0 to 1000"),
        ({"fill": NEXT_BAR._replace(quotes="mid")}, "unknown fill.quotes 'mid'"),  # type: ignore[arg-type]
        ({"fill": NEXT_BAR._replace(model="best")}, "unknown fill model 'best'"),  # type: ignore[arg-type]
        ({"source": "csv", "path": "bars.csv"}, "isn't clear whether bars are stamped"),
        ({"data_plan": "golden"}, "unknown data plan 'golden'"),
        (DAILY | {"bar_stamp": "end"}, "no stamp of a minute"),
        (DAILY | {"prices": "net"}, "unknown prices 'net'"),
        (DAILY | {"day_prices": "noon"}, "unknown day prices 'noon'"),
        (DAILY | {"path": None}, "needs the path of a file"),
        (DAILY | {"sessions": 10_001}, "sessions must be 1 to 10000"),
        (DAILY | {"start": date(1971, 1, 4)}, "start must be from 1972"),
    ],
)
def test_specification_refuses_invalid_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MarketError, match=message) as refused:
        replace(SPEC, **changes)
    assert refused.value.hint


@pytest.mark.parametrize("costs", [{"commission": "1"}, {"commission_bps": "much"}, {"margin_rate": None}])
def test_market_file_with_unreadable_costs_is_refused(costs: dict[str, object]) -> None:
    fields = json.loads(SPEC.to_json()) | {"costs": costs}
    with pytest.raises(MarketError, match="incomplete or mistyped"):
        MarketSpec.from_json(json.dumps(fields))


def rates_file(folder: Path, *lines: str) -> Path:
    file = folder / "rates.csv"
    file.write_text("\n".join(("date,effr", *lines)) + "\n")
    return file


def test_rates_are_in_percent_and_last_until_the_next(tmp_path: Path) -> None:
    rates = read_rates(rates_file(tmp_path, "2025-03-03,4.33", "2025-03-01,4", "2025-03-04,.", "", "2025-03-06,-0.05"))
    days = ("2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06", "2030-01-01")
    assert " ".join(str(rates.on(day) * 100) for day in days) == "4.00 4.00 4.3300 4.3300 4.3300 -0.0500 -0.0500"
    with pytest.raises(MarketError, match="no funds rate is known for 2025-02-28"):
        rates.on("2025-02-28")


@pytest.mark.parametrize("line", ["2025-03-03", "yesterday,4.33", "2025-03-03,much", "2025-03-03,433"])
def test_read_rates_names_the_invalid_line(tmp_path: Path, line: str) -> None:
    file = rates_file(tmp_path, "2025-02-28,4.33", line, "2025-03-05,4.33")
    with pytest.raises(MarketError, match=r"rates\.csv line 3: no date and rate") as refused:
        read_rates(file)
    assert "percent a year" in refused.value.hint


@given(days=st.sets(st.integers(-60, 60), min_size=1), first=st.integers(-50, 50), length=st.integers(0, 60))
def test_rates_of_a_span_equal_the_whole_table_or_are_refused_when_not_covered(
    days: set[int], first: int, length: int
) -> None:
    begin = date(2025, 3, 3)
    rates = Rates.of({(begin + timedelta(days=day)).isoformat(): Decimal(day) for day in days})
    span = [begin + timedelta(days=first + day) for day in range(length + 1)]
    if min(days) > first or max(days) < first + length - 40:
        with pytest.raises(MarketError, match="rates are known from"):
            rates.between(span[0], span[-1])
        return
    part = rates.between(span[0], span[-1])
    assert [part.on(day.isoformat()) for day in span] == [rates.on(day.isoformat()) for day in span]
    assert len(part.days) <= length + 2
    assert Rates.from_fields(part.to_fields()) == part


def test_a_market_keeps_the_rates_of_its_sessions(tmp_path: Path) -> None:
    file = rates_file(tmp_path, "2025-02-01,1", "2025-02-28,36", "2025-03-04,3.6", "2025-03-05,4")
    spec = replace(SPEC, costs=Costs(cash_rate=FUNDS, rates_path=str(file)))
    create(tmp_path / "exchange", spec)
    file.unlink()
    kept = read_market(tmp_path / "exchange")
    assert kept.rates.to_fields() == {"2025-02-28": "0.36", "2025-03-04": "0.036"}
    calendar = calendar_from_rows(kept.sessions, kept.first, spec.sessions)
    assert rates_of(SPEC, calendar) == NO_RATES
    with pytest.raises(MarketError, match="can't be read"):
        rates_of(spec, calendar)
    world = open_world(tmp_path / "exchange", to="2025-03-04T10:00:00Z")
    (row,) = world.get("/v2/account/activities/INT")
    assert (row["net_amount"], row["date"], row["description"]) == (
        "100",
        "2025-03-04",
        "interest on cash to 2025-03-03",
    )
    assert world.get("/v2/account")["cash"] == "100100"
    seen = world.get("/v2/account/activities")
    world.exchange.commit()
    assert open_world(tmp_path / "exchange").get("/v2/account/activities") == seen


def test_the_published_funds_rate_is_read() -> None:
    file = SHARED / "market" / "effr_daily.csv"
    if not file.exists():
        pytest.skip("needs the market data in ../shared/data")
    rates = read_rates(file)
    assert rates.on("2000-07-04") == Decimal("0.0703")
    assert len(rates.between(date(2020, 1, 2), date(2024, 12, 30)).days) > 1200
