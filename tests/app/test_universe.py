"""A universe by name or from a file: symbols in order, with what the file says of them; whatever else is an error.

The universe from the registry's candidate symbols, and from what an earlier version called liquidity_tiers.
"""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.app.settings import Loaded, load, shipped_path
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
        ("names.csv", "ticker\n", "it has no symbol"),
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


RANKED = "strategies: {rotation: {ranked: [PF_XBTUSD, PF_ETHUSD], top: 2, min_ranked: null}}\n"


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    file = folder / "mine.yaml"
    file.write_text(f"venue: kraken_futures\n{RANKED}{text}\n")
    return load(file, environ or {})


def test_candidate_symbols_take_the_place_of_the_shipped_universe_by_any_of_their_names(tmp_path: Path) -> None:
    found = loaded(tmp_path, "registry: {candidate_symbols: [btc, ETH/USD, 'SOL/USD:USD', PF_ADAUSD]}")
    assert found.settings.universe == ["PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD", "PF_ADAUSD"]
    assert (found.origins["universe"], found.warnings) == (str(tmp_path / "mine.yaml"), ())
    assert len(load(None, {}, {"venue": "kraken_futures"}).settings.universe) == 56


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("universe: [PF_XBTUSD]\nregistry: {candidate_symbols: [BTC, ETH]}", "both list what to trade"),
        ("registry: {candidate_symbols: [BTC, ETHUSD]}", "may be a pair or a coin; write ETH/USD or PF_ETHUSD"),
        (
            "registry: {candidate_symbols: [BTC, ETH, XBT]}",
            "registry.candidate_symbols lists PF_XBTUSD twice as BTC and XBT: ",
        ),
        ("registry: {candidate_symbols: []}", "registry.candidate_symbols"),
        ("registry: {pinned: [BTCUSD]}", "registry.pinned: BTCUSD may be a pair or a coin"),
        ("registry: {max_age_s: 60}", "before its tier is evaluated again"),
        (
            "registry: {enabled: true, discovery: true, candidate_symbols: [BTC, ETH]}",
            "registry.discovery trades what the venue lists, and registry.candidate_symbols names",
        ),
        ("registry: {discovery: true}", "registry.discovery needs registry.enabled"),
        (
            "universe: [PF_XBTUSD, PF_ETHUSD, FF_SOLUSD_261225]\nregistry: {enabled: true, discovery: true}",
            "FF_SOLUSD_261225 isn't PF_SOLUSD, and registry.discovery trades each coin as its perpetual",
        ),
        ("liquidity_tiers: {A: BTC}", "is neither a list of symbols nor lists of symbols by tier"),
        ("liquidity_tiers: [BTC]\nregistry: {candidate_symbols: [BTC]}", "and registry.candidate_symbols are both set"),
    ],
)
def test_what_is_unclear_or_contradicts_itself_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        loaded(tmp_path, text)


def test_a_registry_at_a_venue_without_one_is_one_line_that_names_the_venue() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(None, {}, {"venue": "alpaca", "registry": {"enabled": True, "candidate_symbols": ["BTC"]}})
    assert refused.value.message.startswith("venue (flag) is alpaca, but only these venues use registry (flag)")
    assert "\n" not in refused.value.message
    assert "write venue: kraken_futures" in refused.value.hint


def test_a_pinned_coin_that_nothing_trades_is_named(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, "registry: {pinned: [BTC, FOO, PF_BARUSD]}").warnings
    assert f"registry.pinned ({tmp_path / 'mine.yaml'}) names FOO, PF_BARUSD, which universe doesn't have" in warning
    assert loaded(tmp_path, "registry: {pinned: [BTC, FOO], enabled: true, discovery: true}").warnings == ()
    assert loaded(tmp_path, "registry: {candidate_symbols: [BTC, ETH]}").warnings == ()


@pytest.mark.parametrize("tiers", ["{A: [BTC], B: [ETH, BTC], C: []}", "[BTC, ETH]"])
def test_liquidity_tiers_are_read_with_a_warning_that_says_what_to_write_instead(tmp_path: Path, tiers: str) -> None:
    found = loaded(tmp_path, f"liquidity_tiers: {tiers}")
    assert found.settings.universe == ["PF_XBTUSD", "PF_ETHUSD"]
    (warning,) = found.warnings
    assert warning.startswith(
        f"liquidity_tiers ({tmp_path / 'mine.yaml'}) is an earlier name of registry.candidate_symbols"
    )
    (_, instead) = warning.split("; write ")
    text = instead.split("}")[0] + "}"
    again = loaded(tmp_path, text)
    assert (again.settings, again.warnings) == (found.settings, ())
