"""Identify a backtest: by its settings, its market, its data and the versions of programs, and a fingerprint of them
all.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from papervenue.market.action_sources import actions_file_for
from papervenue.market.bar_files import files_in
from papervenue.market.spec import MarketError
from tradebot import __version__
from tradebot.adapters.plugins.code_digest import StrategyCode, source_digest
from tradebot.adapters.plugins.plugin import code_in_use, installed_strategies, package_of
from tradebot.adapters.state.state_folder import FACTS
from tradebot.adapters.text.canonical import json_text
from tradebot.app.baseline import effective

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from papervenue.market.spec import MarketSpec
    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.historical_flow import PastFlow
    from tradebot.lab.backtest.run import BacktestPlan

FINGERPRINT_CHARACTERS = 8
_OF_THE_MARKET = frozenset({"sandbox", "report", "tax", "serve", "promotion"})
"""Sections of the settings that aren't part of a strategy's trial."""
_PATHS = ("path", "uw_folder")


class DataFile(Struct, frozen=True):
    """A file from which the market is built: its name, its size in bytes, and the SHA-256 of its content."""

    name: str
    size: int
    sha256: str


class RunIdentity(Struct, frozen=True):
    """Everything on which a run's result depends; runs with equal identities have equal results, byte for byte.

    `versions` has this program's version, with a digest of its source files, and the version of each strategy's
    package. `code` has each strategy's code digest. `trial` is the fingerprint of settings and code, independent of the
    market.
    """

    settings: Mapping[str, Any]
    market: Mapping[str, Any]
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    code: Mapping[str, StrategyCode]
    data: tuple[DataFile, ...]
    fingerprint: str
    trial: str


def identity_of(plan: BacktestPlan) -> RunIdentity:
    """Return the identity of a plan; its files are read completely.

    Raise OperatorError if a strategy's files can't be read.
    """
    settings, market = effective(plan.settings), plan.spec.to_fields()
    options = {"recorder": plan.level.value, "equity_at": plan.equity_at, "margin": plan.margin}
    versions, chosen = dict(_versions(plan)), plan.settings.strategies
    code = code_in_use(chosen.in_use(), chosen.installed_as())
    digests = {name: strategy_code.digest for name, strategy_code in code.items()}
    data = (*_data(plan.spec), *_past_flow(plan.past_flow))
    placeless, files = _placeless(plan.spec), [(file.name, file.sha256) for file in data]
    tried = _settings_tried(settings)
    return RunIdentity(
        settings=settings,
        market=market,
        options=options,
        versions=versions,
        code=code,
        data=data,
        fingerprint=_digest([tried, placeless, options, versions, digests, files]),
        trial=_digest([tried, digests]),
    )


def market_of(spec: MarketSpec) -> tuple[Mapping[str, Any], Sequence[tuple[str, str]]]:
    """Describe a market, with the name and SHA-256 of each of its files."""
    return _placeless(spec), [(file.name, file.sha256) for file in _data(spec)]


def _placeless(spec: MarketSpec) -> dict[str, Any]:
    """Return a market without its files' paths, because only their content matters."""
    market = spec.to_fields()
    placeless = {name: value for name, value in market.items() if name not in _PATHS}
    return {
        **placeless,
        "costs": {name: value for name, value in market.get("costs", {}).items() if name != "rates_path"},
    }


def trial_of(settings: Settings) -> str:
    """Return the fingerprint of settings and code only, as `identity_of` computes it, without reading a market's
    files.
    """
    chosen = settings.strategies
    code = code_in_use(chosen.in_use(), chosen.installed_as())
    return _digest(
        [_settings_tried(effective(settings)), {name: strategy_code.digest for name, strategy_code in code.items()}]
    )


def _settings_tried(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that make up a trial: all except those of the market."""
    tried = {name: value for name, value in settings.items() if name not in _OF_THE_MARKET}
    tried["strategies"] = {name: _without_files(section) for name, section in settings["strategies"].items()}
    return tried


def _without_files(section: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a strategy's section without its files' paths; their content is part of its code."""
    return section and {name: value for name, value in section.items() if name != "files"}


def _versions(plan: BacktestPlan) -> Iterator[tuple[str, str]]:
    """Yield the version of this program and its source, and of each plug-in's package."""
    yield "tradebot", __version__
    yield "tradebot source", source_digest()
    points = installed_strategies()
    for name, point_name in plan.settings.strategies.installed_as().items():
        point = points.get(point_name)
        if point is not None and point.dist is not None:
            yield f"{name} ({package_of(point)})", point.dist.version


def _data(spec: MarketSpec) -> Iterator[DataFile]:
    """Yield a market's files, those of a folder in the order of their names."""
    named = [Path(path) for path in (spec.costs.rates_path,) if path is not None]
    if spec.path is not None:
        with suppress(MarketError):
            named = [*files_in(Path(spec.path)), *named]
        named.append(actions_file_for(Path(spec.path)))
    if spec.uw_folder is not None:
        named += sorted(path for path in Path(spec.uw_folder).rglob("*") if path.is_file())
    for path in named:
        if path.is_file():
            with path.open("rb") as file:
                yield DataFile(path.name, path.stat().st_size, file_digest(file, "sha256").hexdigest())


def _past_flow(past: PastFlow | None) -> Iterator[DataFile]:
    """Yield a bot's fetched flow as a file with what was read, because the original keeps growing."""
    if past is not None:
        content = repr(past.replies).encode()
        yield DataFile(FACTS, len(content), sha256(content).hexdigest())


def _digest(value: object) -> str:
    return sha256(json_text(value).encode()).hexdigest()
