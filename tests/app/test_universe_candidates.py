"""The universe from the registry's candidate symbols, and from what an earlier version called liquidity_tiers."""

from pathlib import Path

import pytest

from tradebot.app.settings import Loaded, load
from tradebot.errors import ConfigurationError

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


def test_the_environment_may_name_them(tmp_path: Path) -> None:
    found = loaded(tmp_path, "", {"TRADEBOT_REGISTRY__CANDIDATE_SYMBOLS": "[btc, eth]"})
    assert found.settings.universe == ["PF_XBTUSD", "PF_ETHUSD"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("universe: [PF_XBTUSD]\nregistry: {candidate_symbols: [BTC, ETH]}", "both say what may be traded"),
        ("registry: {candidate_symbols: [BTC, ETHUSD]}", "may be a pair or a coin; write ETH/USD or PF_ETHUSD"),
        (
            "registry: {candidate_symbols: [BTC, ETH, XBT]}",
            "registry.candidate_symbols lists PF_XBTUSD twice as BTC and XBT: ",
        ),
        ("registry: {candidate_symbols: []}", "registry.candidate_symbols"),
        ("registry: {pinned: [BTCUSD]}", "registry.pinned: BTCUSD may be a pair or a coin"),
        ("registry: {max_age_s: 60}", "before its tier is looked at again"),
        (
            "registry: {enabled: true, discovery: true, candidate_symbols: [BTC, ETH]}",
            "registry.discovery trades what the venue lists, and registry.candidate_symbols names",
        ),
        ("registry: {discovery: true}", "registry.discovery needs registry.enabled"),
        (
            "universe: [PF_XBTUSD, PF_ETHUSD, FF_SOLUSD_261225]\nregistry: {enabled: true, discovery: true}",
            "FF_SOLUSD_261225 isn't PF_SOLUSD, and registry.discovery trades each coin as its perpetual",
        ),
        ("liquidity_tiers: {A: BTC}", "neither lists of symbols by tier nor one list"),
        ("liquidity_tiers: [BTC]\nregistry: {candidate_symbols: [BTC]}", "stands beside registry.candidate_symbols"),
    ],
)
def test_what_is_unclear_or_contradicts_itself_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        loaded(tmp_path, text)


def test_a_registry_at_a_venue_without_one_is_one_line_that_names_the_venue() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(None, {}, {"venue": "alpaca", "registry": {"enabled": True, "candidate_symbols": ["BTC"]}})
    assert refused.value.message.startswith("venue (flag) is alpaca, and registry (flag) belongs to a venue")
    assert "\n" not in refused.value.message
    assert "write venue: kraken_futures" in refused.value.hint


def test_a_pinned_coin_that_nothing_trades_is_named(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, "registry: {pinned: [BTC, FOO, PF_BARUSD]}").warnings
    assert f"registry.pinned ({tmp_path / 'mine.yaml'}) has FOO, PF_BARUSD, and universe doesn't" in warning
    assert loaded(tmp_path, "registry: {pinned: [BTC, FOO], enabled: true, discovery: true}").warnings == ()
    assert loaded(tmp_path, "registry: {candidate_symbols: [BTC, ETH]}").warnings == ()


@pytest.mark.parametrize("tiers", ["{A: [BTC], B: [ETH, BTC], C: []}", "[BTC, ETH]"])
def test_liquidity_tiers_are_read_with_a_warning_that_says_what_to_write_instead(tmp_path: Path, tiers: str) -> None:
    found = loaded(tmp_path, f"liquidity_tiers: {tiers}")
    assert found.settings.universe == ["PF_XBTUSD", "PF_ETHUSD"]
    (warning,) = found.warnings
    assert warning.startswith(f"liquidity_tiers ({tmp_path / 'mine.yaml'}) is read as registry.candidate_symbols")
    (_, instead) = warning.split("; write ")
    text = instead.split("}")[0] + "}"
    again = loaded(tmp_path, text)
    assert (again.settings, again.warnings) == (found.settings, ())
