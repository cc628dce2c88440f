"""Files of one contract each, as vendors sell them: names say which contract, and a folder of them is a market."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.creation import recorded_source, recorded_span
from papervenue.market.futures import LETTERS, ROOTS, contract_named
from papervenue.market.spec import MarketError

HEADER = "ts,open,high,low,close,volume"
NAMES = {"ESZ5": "2025-12-01 10:00:00", "ES_2026_03_1min": "2025-12-02 10:00:00", "MESH26": "2025-12-02 10:01:00"}


def folder_of(path: Path, **times: str) -> Path:
    """Write a file of one bar for each name."""
    path.mkdir()
    for name, time in times.items():
        (path / f"{name}.csv").write_text(f"{HEADER}\n{time},6000,6001,5999,6000.5,10\n")
    return path


@pytest.mark.parametrize(
    ("text", "contract"),
    [
        ("ESZ5", "ESZ5"),
        ("@ESZ25", "ESZ5"),
        ("es_2025_12_15min", "ESZ5"),
        ("ES_202512", "ESZ5"),
        ("ES 12-25.Last", "ESZ5"),
        ("6EH2027-m1", "6EH7"),
        ("ES_2025-12-09", None),
        ("ES_20251209", None),
        ("SPY_202512", None),
        ("ESF25", None),
        ("ESZ5 or ESH6", None),
    ],
)
def test_a_name_says_its_contract_unless_it_is_a_date_or_names_several(text: str, contract: str | None) -> None:
    assert contract_named(text) == contract


@given(st.sampled_from(sorted(ROOTS)), st.integers(2015, 2034), st.data())
def test_each_way_to_write_a_contract_names_it(root: str, year: int, data: st.DataObject) -> None:
    letter = data.draw(st.sampled_from(ROOTS[root].months))
    month, short = LETTERS.index(letter) + 1, year % 100
    ways = (
        f"{letter}{year % 10}",
        f"{letter}{short:02}",
        f"{letter}{year}",
        f"_{year}_{month:02}",
        f" {month:02}-{short:02}",
    )
    assert {contract_named(f"{root}{way}") for way in ways} == {f"{root}{letter}{year % 10}"}


def test_a_folder_has_the_contracts_and_sessions_of_all_its_files(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "bars", **NAMES)
    assert recorded_source(place) == "csv"
    span = recorded_span("csv", place, "start")
    assert span.contracts == {"ESZ5", "ESH6", "MESH6"}
    assert span.days == (date(2025, 12, 1), date(2025, 12, 2))


def test_a_folder_without_price_files_is_refused_with_their_endings(tmp_path: Path) -> None:
    with pytest.raises(MarketError, match="holds no price files"):
        recorded_span("csv", folder_of(tmp_path / "bars"), "start")
