"""A universe by name or from a file: symbols in order, with what the file says of them; whatever else is an error."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.app.settings import load, shipped_path
from tradebot.app.universe import read_universe
from tradebot.errors import ConfigurationError

LISTS = shipped_path("universes")


def configured(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


def test_shipped_universe_has_a_sector_and_a_theme_for_each_symbol(tmp_path: Path) -> None:
    settings = load(configured(tmp_path, "universe: liquid_53\n"), {}).settings
    assert len(set(settings.universe)) == 53
    assert set(settings.universe) <= settings.sectors.keys() & settings.themes.keys()
    assert {"SPY", "XLF"} <= set(settings.funds)


def test_screener_file_gives_sectors_and_funds_without_indexes(tmp_path: Path) -> None:
    rows: list[dict[str, str | None]] = [
        {"ticker": "AAPL", "sector": "Technology", "issue_type": "Common Stock"},
        {"ticker": "brkb", "sector": "Financial Services", "issue_type": "Common Stock"},
        {"ticker": "XBI", "sector": None, "issue_type": "ETF"},
        {"ticker": "SPX", "sector": None, "issue_type": "Index"},
        {"ticker": "AAPL", "sector": "Energy"},
    ]
    (tmp_path / "screen.json").write_text(json.dumps({"data": rows}))
    lines = [
        "ticker,sector,issue_type",
        *(f"{row['ticker']},{row['sector'] or ''},{row.get('issue_type', '')}" for row in rows),
    ]
    (tmp_path / "screen.csv").write_text("\n".join(lines))
    for name in ("screen.json", "screen.csv"):
        found = read_universe(name, LISTS, tmp_path)
        assert found.symbols == ["AAPL", "BRK.B", "XBI"]
        assert found.sectors == {"AAPL": "technology", "BRK.B": "financial"}
        assert (found.funds, found.left_out) == (["XBI"], ["SPX"])


def test_configured_sector_overrides_the_universe_file(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("NEW: {sector: energy, theme: oil, fund: true}\nOLD:\n")
    file = configured(tmp_path, "universe: names.yaml\nsectors: {NEW: utilities}\n")
    loaded = load(file, {})
    assert loaded.settings.universe == ["NEW", "OLD"]
    assert (loaded.settings.sectors["NEW"], loaded.settings.themes["NEW"]) == ("utilities", "oil")
    assert {"NEW", "SPY"} <= set(loaded.settings.funds)
    by_environment = load(file, {"TRADEBOT_UNIVERSE": "liquid_53"}).settings
    assert (len(by_environment.universe), by_environment.sectors["NEW"]) == (53, "utilities")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("AAPL", "", "there is no universe 'AAPL'"),
        ("liquid_35", "", "did you mean liquid_53"),
        ("absent.csv", None, "No such file"),
        ("names.txt", "AAPL", "neither .yaml, .csv nor .json"),
        ("names.csv", "name\nApple\n", "row 1 has neither ticker nor symbol"),
        ("names.csv", "ticker\n", "it names no symbol"),
        ("names.json", '{"data": ', "it isn't JSON"),
        ("names.json", '{"rows": []}', "no list of rows"),
        ("names.json", "[7]", "row 1 is not an object"),
        ("names.yaml", "just a word", "neither a list nor a mapping"),
        ("names.yaml", "AAPL: {sektor: technology}", "AAPL has"),
        ("names.csv", "\udcff", "it isn't text"),
    ],
)
def test_bad_universe_file_is_named_with_its_mistake(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match="universe") as raised:
        read_universe(name, LISTS, tmp_path)
    assert words in raised.value.message
    assert raised.value.hint


@given(data=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".json", ".yaml"]))
def test_any_file_is_a_universe_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"any{suffix}"
    file.write_bytes(data)
    with suppress(ConfigurationError):
        assert read_universe(str(file), LISTS, Path()).symbols
