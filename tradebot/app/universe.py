"""Read a universe by its name or from a file: symbols, and their sectors, themes and types if listed.

A file is a YAML list of symbols, a YAML mapping of symbols to `{sector, theme, fund}`, or a screener's output: CSV with
a header, or JSON rows. A screener's rows have `ticker` or `symbol`, and may have `sector`, `theme` and `issue_type`.

Without a file, the universe consists of the registry's candidate symbols, under their common names. Earlier versions
listed the candidates under liquidity_tiers, by tier or as a list. Such a section is still read, with a warning, but its
tiers are ignored, because a coin's trading volume determines its tier.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tradebot.adapters.text.yaml_loader import load_yaml_value
from tradebot.app.baseline import is_shipped
from tradebot.app.venues import driver_for
from tradebot.errors import ConfigurationError
from tradebot.model.sentences import known_name
from tradebot.signals.fields import our_sector

if TYPE_CHECKING:
    from tradebot.app.settings_schema import Sections

MOST_BYTES = 5_000_000

CLASS_SHARES: Mapping[str, str] = {"BRKA": "BRK.A", "BRKB": "BRK.B", "BFA": "BF.A", "BFB": "BF.B"}

"""Share classes that the flow source writes without the dot that the broker needs."""

FORMS = "a list of symbols, a mapping of symbols to {sector, theme, fund}, or a screener's CSV or JSON"

NOT_STOCKS = frozenset({"Index"})

"""Types of securities in a screener's output that can't be bought."""

Row = Mapping[str, object]


class Universe(Struct):
    """The symbols of a universe in order, with their sectors and themes, and which are funds.

    Symbols in `left_out` can't be bought.
    """

    symbols: list[str] = field(default_factory=list)
    sectors: dict[str, str] = field(default_factory=dict)
    themes: dict[str, str | None] = field(default_factory=dict)
    funds: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_universe(name: str, shipped: Path, beside: Path) -> Universe:
    """Read a universe from a shipped list or, if the name has a dot or a slash, from a file relative to `beside`.

    Raise ConfigurationError naming the file and the remedy.
    """
    if "/" not in name and "." not in name:
        try:
            names = sorted(path.stem for path in shipped.glob("*.yaml"))
            return _of_yaml(shipped / f"{known_name(name, names, 'universe')}.yaml")
        except ValueError as unknown:
            raise ConfigurationError(
                f"universe: {unknown}",
                "write a list, such as [AAPL, MSFT], name a shipped one, or a file such as ./mine.csv",
            ) from None
    path = beside / Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return _of_yaml(path)
    if path.suffix in (".csv", ".json"):
        return _of_rows(path, _csv_rows(path) if path.suffix == ".csv" else _json_rows(path))
    raise ConfigurationError(f"universe: {path} is neither .yaml, .csv nor .json", f"a universe is {FORMS}")


def _of_yaml(path: Path) -> Universe:
    value = load_yaml_value(path)
    if isinstance(value, list):
        return _of_rows(path, [{"symbol": symbol} for symbol in value])
    if isinstance(value, Mapping):
        return _of_rows(
            path, [{**_row_of(path, symbol, attributes), "symbol": symbol} for symbol, attributes in value.items()]
        )
    raise _unusable(path, "it is neither a list nor a mapping")


def _row_of(path: Path, symbol: str, attributes: object) -> Row:
    if attributes is None:
        return {}
    if not isinstance(attributes, Mapping) or not attributes.keys() <= {"sector", "theme", "fund"}:
        raise _unusable(path, f"{symbol} has {attributes!r}, but must have a mapping like {{sector, theme, fund}}")
    return attributes


def _csv_rows(path: Path) -> list[Row]:
    try:
        rows = list(csv.DictReader(io.StringIO(_text(path), newline="")))
    except csv.Error as error:
        raise _unusable(path, f"it isn't CSV: {error}") from None
    return [{(name or "").strip().lower(): value for name, value in row.items()} for row in rows]


def _json_rows(path: Path) -> Sequence[object]:
    try:
        body = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"it isn't JSON: {error}") from None
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise _unusable(path, "it has no list of rows")
    return rows


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"universe: {path}: {error.strerror}", "name a file that you may read") from None
    if len(data) > MOST_BYTES:
        raise _unusable(path, f"it is larger than {MOST_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable(path, "it isn't text") from None


def _of_rows(path: Path, rows: Sequence[object]) -> Universe:
    """Build a universe from rows; repeated symbols are ignored."""
    universe = Universe()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise _unusable(path, f"row {number} is not an object")
        symbol = _symbol(row)
        if symbol is None:
            raise _unusable(path, f"row {number} has neither ticker nor symbol")
        if row.get("issue_type") in NOT_STOCKS or row.get("is_index") in (True, "true"):
            universe.left_out.append(symbol)
        elif symbol not in universe.symbols:
            universe.symbols.append(symbol)
            _add(universe, symbol, row)
    if not universe.symbols:
        raise _unusable(path, "it has no symbol")
    return universe


def _add(universe: Universe, symbol: str, row: Row) -> None:
    sector, theme = row.get("sector"), row.get("theme")
    if isinstance(sector, str) and sector.strip():
        universe.sectors[symbol] = our_sector(sector.strip())
    if "theme" in row and (theme is None or isinstance(theme, str)):
        universe.themes[symbol] = theme or None
    if row.get("fund") is True or row.get("issue_type") == "ETF":
        universe.funds.append(symbol)


def _symbol(row: Row) -> str | None:
    written = next((row[name] for name in ("symbol", "ticker") if row.get(name)), None)
    if not isinstance(written, str) or not written.strip():
        return None
    symbol = written.strip().upper()
    return CLASS_SHARES.get(symbol, symbol)


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"universe: {path} can't be used: {why}", f"a universe is {FORMS}")


Layer = tuple[str, dict[str, object]]


def with_universe(layers: list[Layer], shipped: Path, below: int) -> tuple[list[Layer], tuple[str, ...]]:
    """If a layer names a file as the universe, replace that file with the list of its symbols; return the layers.

    The file's sectors, themes and funds become a new layer below the layer with the index `below`, so values in the
    configuration itself take precedence. Also return those symbols of the file that can't be bought.
    """
    number = max(number for number, (_, layer) in enumerate(layers) if "universe" in layer)
    source, layer = layers[number]
    name = layer["universe"]
    if not isinstance(name, str):
        return layers, ()
    beside = Path(source).parent if Path(source).suffix in (".yaml", ".yml") else Path()
    universe = read_universe(name, shipped, beside)
    base_funds = layers[0][1].get("funds")
    funds = [*dict.fromkeys((*(base_funds if isinstance(base_funds, list) else ()), *universe.funds))]
    layer_values: dict[str, object] = {"sectors": universe.sectors, "themes": universe.themes, "funds": funds}
    listed = [*layers[:number], (source, {**layer, "universe": universe.symbols}), *layers[number + 1 :]]
    return [*listed[:below], (f"universe {name}", layer_values), *listed[below:]], tuple(universe.left_out)


EARLIER = "liquidity_tiers"

SECTION, KEY = "registry", "candidate_symbols"

PINNED = f"{SECTION}.pinned"

LONGEST = 5

"""How many symbols a warning names."""


def with_candidates_of_earlier_versions(layers: list[Layer]) -> tuple[list[Layer], tuple[str, ...]]:
    """Replace each `liquidity_tiers` section with candidate symbols; return the layers, and warnings that say what to
    write instead.

    Raise ConfigurationError if such a section lists no symbols, or if candidate symbols are set too.
    """
    if not any(EARLIER in layer for _, layer in layers):
        return layers, ()
    now, warnings = list[Layer](), list[str]()
    for source, layer in layers:
        translated, warning = _translate_layer(source, layer) if EARLIER in layer else (layer, "")
        now.append((source, translated))
        warnings.extend([warning] if warning else [])
    return now, tuple(warnings)


def _translate_layer(source: str, layer: Mapping[str, object]) -> tuple[dict[str, object], str]:
    section, names = layer.get(SECTION) or {}, [*dict.fromkeys(_names(source, layer[EARLIER]))]
    instead = f"write {SECTION}: {{{KEY}: [{', '.join(names[:LONGEST])}{', …' if len(names) > LONGEST else ''}]}}"
    if not isinstance(section, Mapping) or KEY in section:
        raise ConfigurationError(f"{EARLIER} ({source}) and {SECTION}.{KEY} are both set", f"remove {EARLIER}")
    rest = {name: value for name, value in layer.items() if name != EARLIER}
    warning = f"{EARLIER} ({source}) is an earlier name of {SECTION}.{KEY}, and is read as that; {instead}"
    return {**rest, SECTION: {**section, KEY: names}}, (
        f"{warning}. The bot puts each coin into a tier by its volume, spread and price."
    )


def _names(source: str, value: object) -> Iterator[str]:
    """Yield the symbols that an earlier version listed; a tier may be empty."""
    for names in value.values() if isinstance(value, Mapping) else [value]:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            message = f"{EARLIER} ({source}) is neither a list of symbols nor lists of symbols by tier"
            raise ConfigurationError(message, f"remove it, and write {SECTION}: {{{KEY}: [BTC, ETH]}}")
        yield from names


def pinned_outside(settings: "Sections", origins: Mapping[str, str]) -> tuple[str, ...]:
    """Return a warning if the user pinned coins that no strategy trades.

    With discovery there is no warning, because pinned coins are then traded.
    """
    registry, source = settings.registry, origins.get(PINNED) or origins.get(SECTION, "")
    if registry is None or registry.discovery or is_shipped(source):
        return ()
    symbol, traded = driver_for(settings.venue).symbol, set(settings.universe)
    outside = [name for name in registry.pinned if symbol(name) not in traded]
    if not outside:
        return ()
    return (
        (
            f"{PINNED} ({source}) names {', '.join(outside)}, which universe doesn't have, so pinning has no effect"
            " on them"
        ),
    )


def require_registry(merged: Mapping[str, object], origins: Mapping[str, str], having: Sequence[str]) -> None:
    """Raise ConfigurationError if only part of a registry is set, and the venue has no shipped registry to complete it.

    `having` lists the venues whose shipped files have a registry. For a plug-in's venue, a complete registry may be
    set.
    """
    section, venue = merged.get(SECTION), str(merged["venue"])
    if not isinstance(section, Mapping) or {"tiers", "health"} <= section.keys():
        return
    at = ", ".join(having)
    raise ConfigurationError(
        f"venue ({origins['venue']}) is {venue}, but only these venues use {SECTION} ({origins[SECTION]}): {at}. "
        f"Strategies that need bars of the spot price, such as smart_money, don't work at {venue} either.",
        f"write venue: {having[0]}, or remove {SECTION} and the settings that were written for that venue",
    )


def trade_candidates(merged: dict[str, object], origins: dict[str, str]) -> None:
    """Replace the universe with the registry's candidate symbols, if there are any, under the names that the venue
    uses.

    Raise ConfigurationError if a name is ambiguous, or if the user has set the universe too.
    """
    section = merged.get(SECTION)
    names = section.get(KEY) if isinstance(section, Mapping) else None
    if not isinstance(names, list):
        return
    path, origin = f"{SECTION}.{KEY}", origins["universe"]
    source = origins.get(path) or origins[SECTION]
    if not is_shipped(origin):
        message = f"universe ({origin}) and {path} ({source}) both list what to trade"
        raise ConfigurationError(message, "remove one of the two")
    try:
        symbol = driver_for(str(merged["venue"])).symbol
        symbols = [symbol(str(name)) for name in names]
    except ValueError as unclear:
        raise ConfigurationError(
            f"{path} ({source}): {unclear}", "use the venue's name for each symbol, or correct it"
        ) from None
    merged["universe"], origins["universe"] = symbols, source
