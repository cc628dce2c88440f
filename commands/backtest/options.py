"""Turn the options of `tradebot backtest` into a plan and an opened market."""

import os
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from commands.backtest.run_options import BacktestOptions
from commands.init import MarketOptions, flags_of, market_flags
from commands.init.profiles import SHIPPED_PROFILE, profile_file, require_strategies, symbol_flags, venue_named
from commands.shared.light_helpers import clean, did_you_mean, note
from commands.shared.times import show_venue
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.state import state_folder
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.app import sandbox
from tradebot.app.loading import Options, user_file
from tradebot.app.rules import without_sector
from tradebot.app.settings import Loaded, Settings, load
from tradebot.app.settings_schema import CostSettings
from tradebot.app.wiring import open_app
from tradebot.errors import OperatorError, word
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.historical_flow import PastFlow
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.required_contracts import describe_missing_contracts, roots_in
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.views.parity import LATELY, over_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tradebot.app.sandbox import RecordedFile

DEFAULTS = "backtest.yaml"
"""The shipped file with a backtest's default assumptions."""
SLIPPAGE = "slippage_bps"
MEASURED = "measured"
"""The value of `--cost` for the measured costs of the bot's own fills."""
OF_FILLS = (SLIPPAGE, "spread_bps", "volume_share", "depth_share", "partial_rate", "latency_s", "quotes")
"""Names that `--cost` accepts besides the settings under sandbox.costs."""


class PlannedBacktest(Struct, frozen=True):
    """A plan, its market, and the configuration layers that it comes from."""

    plan: "BacktestPlan"
    market: "OpenedMarket"
    folder: Path
    configuration: str


def _tell_unknown_symbols(settings: "Settings") -> None:
    """Note which symbols have no sector, because they may be mistyped: a generated market makes prices for any name."""
    for symbol in without_sector(settings):
        meant = did_you_mean(symbol, list(settings.sectors))
        without = f"{clean(symbol)} has no sector in the configuration, so the bot opens no position in it"
        note(f"{without}; {meant}" if meant else without)


def plan_backtest(wish: BacktestOptions) -> PlannedBacktest:
    """Return the plan that the options describe, with its market opened; raise OperatorError if they are invalid."""
    resolved = _resolve_options(wish)
    folder, settings = resolved.folder, resolved.settings
    show_venue(settings.day)
    recorded = settings.sandbox.source != "generated"
    # Without a universe of one's own, a file is played with all of its symbols, as a new bot would.
    every_symbol = recorded and resolved.origins.get("universe") == "base.yaml"
    market = open_market_in_memory(sandbox.market_spec(settings, every_symbol=every_symbol))
    market = market._replace(lacking=describe_missing_contracts(settings, market)) if recorded else market
    if every_symbol:
        settings = settings.model_copy(update={"universe": list(market.symbols)})
    elif recorded and market.spec.venue.of_perpetuals:
        settings = _of_perpetuals(wish, settings, market)
    if wish.symbols and not recorded:
        _tell_unknown_symbols(settings)
    options: dict[str, Any] = {
        "level": RecordLevel(_one_of("--recorder", wish.recorder, list(RecordLevel))),
        "every_pass": wish.every_pass,
        "equity_at": _one_of("--equity-at", wish.equity_at, ["market", "last_fill"]),
        "margin": _one_of("--margin", wish.margin, ["reg_t", "free"]),
    }
    past = PastFlow(Path(wish.past_flow)) if wish.past_flow else None
    if past:
        past.require([*map(session_of, market.calendar.market)])
    plan = BacktestPlan(settings, market.spec, **options, past_flow=past)
    return PlannedBacktest(
        plan, market, folder, f"profile {wish.profile}" if wish.profile else str(resolved.file or "as shipped")
    )


def _of_perpetuals(wish: BacktestOptions, settings: "Settings", market: OpenedMarket) -> "Settings":
    """Return the settings with only those perpetuals that the files contain.

    Raises OperatorError if --symbols names another one.
    """
    without = [symbol for symbol in settings.universe if symbol not in market.symbols]
    if without and wish.symbols and not wish.symbols.isdigit():
        there = ", ".join(market.symbols)
        raise OperatorError(
            f"{clean(wish.bars or '')} has no prices for {without[0]} on these days", f"write --symbols {there}"
        )
    return settings.model_copy(update={"universe": [symbol for symbol in settings.universe if symbol not in without]})


class _Asked(NamedTuple):
    """The bot's folder, its configuration file, the settings that the options ask for, and where each comes from."""

    folder: Path
    file: Path | None
    settings: "Settings"
    origins: "Mapping[str, str]"


def settings_of(wish: BacktestOptions) -> "Settings":
    """Return the settings that the options describe; raise OperatorError if they are invalid."""
    return _resolve_options(wish).settings


def _resolve_options(wish: BacktestOptions) -> _Asked:
    folder = state_folder.resolve(wish.state_dir, os.environ)
    recorded_file = None
    if wish.bars:
        venue = _venue_of(wish, folder)
        recorded_file = sandbox.read_recorded_file(wish.bars, wish.bar_stamp, wish.bars_as, venue=venue)
    file, loaded = _load_settings(wish, folder, _flags(wish, recorded_file))
    settings = loaded.settings
    if recorded_file and wish.profile:
        # A profile's universe is roots, and a file may contain only some of them.
        settings = settings.model_copy(update={"universe": roots_in(settings, recorded_file.contracts)})
    return _Asked(folder, file, settings, loaded.origins)


def _venue_of(wish: BacktestOptions, folder: Path) -> str | None:
    """Return the venue, which determines how a file is read; None is the default one."""
    file = user_file(Options(wish.state_dir, wish.config), folder, os.environ)
    if wish.venue or wish.profile or not file:
        return venue_named(wish.venue, wish.profile or SHIPPED_PROFILE, wish.config)
    return load(file, os.environ).settings.venue


def _one_of(option: str, value: str, allowed: "Sequence[str]") -> str:
    if value not in allowed:
        names = " or ".join(allowed)
        raise OperatorError(f"{option} {word(value)} isn't one of {names}", f"write {option} {allowed[0]}")
    return value


def _flags(wish: BacktestOptions, recorded_file: "RecordedFile | None") -> dict[str, Any]:
    market = MarketOptions(
        start=wish.first.isoformat() if wish.first else None,
        seed=wish.seed,
        edge=wish.edge,
        flow_folder=wish.flow_folder,
        fill=wish.fill,
        corporate_actions=wish.corporate_actions,
    )
    more = {
        "path": str(Path(wish.bars).resolve()) if wish.bars else None,
        "bar_stamp": wish.bar_stamp,
        "sessions": wish.sessions,
        "cash_usd": int(wish.cash) if wish.cash and wish.cash.is_integer() else wish.cash,
        "prices": wish.prices,
        "day_prices": wish.day_prices,
    }
    sandbox = market_flags(market) | {name: value for name, value in more.items() if value is not None}
    for option in wish.costs:
        section, name, value = _measured_slippage(wish) if option == MEASURED else _cost(option)
        sandbox.setdefault(section, {})[name] = value
    if recorded_file:
        sandbox |= _of_file(wish, recorded_file)
    symbols = symbol_flags(wish.symbols, wish.venue, wish.profile or SHIPPED_PROFILE, wish.config)
    return flags_of("sandbox", sandbox, symbols, wish.venue) | {"shadow": False}


def _of_file(wish: BacktestOptions, recorded_file: "RecordedFile") -> dict[str, Any]:
    days = recorded_file.days
    wrong = _outside(days[0], days[-1], wish.first, wish.last)
    if wrong:
        raise OperatorError(f"{clean(wish.bars or '')} has bars from {days[0]} to {days[-1]}", wrong)
    period = [day for day in days if (wish.first or day) <= day <= (wish.last or day)]
    if not period:
        raise OperatorError(f"the exchange is closed from {wish.first} to {wish.last}", "give a longer span")
    sessions = min(len(period), wish.sessions or len(period))
    span = {"source": recorded_file.source, "start": period[0].isoformat(), "sessions": sessions}
    stamp = {"bar_stamp": recorded_file.bar_stamp} if recorded_file.bar_stamp else {}
    return span | stamp | ({"reading": recorded_file.reading} if recorded_file.reading else {})


def _dates(first: date, last: date, calendar: str) -> list[date]:
    """Return the dates of a calendar's sessions."""
    return [session.date for session in exchange_sessions(first, last, calendar)]


def _outside(begins: date, ends: date, first: date | None, last: date | None) -> str:
    parts = (
        f"--from {begins}" if first is not None and not begins <= first <= ends else "",
        f"--to {ends}" if last is not None and not begins <= last <= ends else "",
    )
    return " ".join(filter(None, ("write" if any(parts) else "", *parts)))


def _measured_slippage(wish: BacktestOptions) -> tuple[str, str, object]:
    """Return the slippage of the bot's sessions relative to their backtests; OperatorError if none was compared."""
    with open_app(Options(wish.state_dir, wish.config), os.environ) as bot:
        parity_totals = over_time(bot.existing_facts.parities(LATELY)) if bot.existing_facts else None
    if parity_totals is None or parity_totals.slippage_bps is None:
        why = "no session has been compared with its backtest" if parity_totals is None else "no order filled in both"
        raise OperatorError(
            f"--cost {MEASURED} needs fills from a session and from its backtest, but {why}", "tradebot parity SESSION"
        )
    return "fill", SLIPPAGE, parity_totals.slippage_bps


def _cost(option: str) -> tuple[str, str, object]:
    name, equals, text = option.partition("=")
    names = (*CostSettings.model_fields, *OF_FILLS)
    if not equals or name not in names:
        hint = f"write --cost {MEASURED}, or --cost NAME=VALUE with one of {', '.join(names)}"
        raise OperatorError(f"--cost {word(option)} names no cost", hint)
    try:
        value: object = Decimal(text)
    except InvalidOperation:
        value = str(Path(text).resolve()) if name == "rates_path" else text
    return ("fill" if name in OF_FILLS else "costs"), name, value


def _load_settings(wish: BacktestOptions, folder: Path, flags: dict[str, Any]) -> "tuple[Path | None, Loaded]":
    file = user_file(Options(wish.state_dir, wish.config), folder, os.environ)
    if wish.profile is not None:
        own = Path(wish.config) if wish.config else None
        # Use the requested profile, not the file of a bot that happens to be in this folder.
        file = profile_file(wish.profile, own, {name: flags[name] for name in flags if name in ("universe", "venue")})
    flags |= wish.over
    loaded = load(file, os.environ, _with_sessions_until(wish, file, flags), verb=DEFAULTS)
    if loaded.settings.sandbox.source == "daily":
        if loaded.origins.get("sandbox.fill.model") == "base.yaml":
            # An order that waits for the next of a day's two prices has expired by then.
            _section(flags, "sandbox.fill")["model"] = "close"
        loaded = load(file, os.environ, _with_sessions_until(wish, file, flags), verb=DEFAULTS)
    require_strategies(wish.profile or "", loaded.settings)
    return file, loaded


def _section(flags: dict[str, Any], dotted: str) -> dict[str, Any]:
    for name in dotted.split("."):
        flags = flags.setdefault(name, {})
    return flags


def _with_sessions_until(wish: BacktestOptions, file: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags with the number of sessions until --to; unchanged without --to, or for a file of bars.

    Raise OperatorError if there is no session until --to.
    """
    if wish.last is None or wish.bars:
        return flags
    settings = load(file, os.environ, flags).settings
    start = settings.sandbox.start
    if start > wish.last:
        raise OperatorError(
            f"the market begins on {start}, after --to {wish.last}", "choose an earlier --from or a later --to"
        )
    days = _dates(start, wish.last, settings.capabilities.calendar)
    if not days:
        raise OperatorError(f"the exchange is closed from {start} to {wish.last}", "give a longer span")
    return {**flags, "sandbox": {**flags.get("sandbox", {}), "sessions": len(days)}}
