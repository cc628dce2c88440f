"""`tradebot registry`: each coin with its tier, its numbers, and the health of its data. Reads only records."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.completion import symbols
from commands.shared.declaration import VerbPurpose
from commands.shared.light_helpers import clean
from commands.shared.number_format import usd
from commands.shared.times import when
from commands.shared.universe import in_universe
from commands.shared.verb_options import Report, on_bot
from tradebot.desk.registry import look_at_coins, look_for_coins
from tradebot.errors import ExitCode, OperatorError
from tradebot.gates.registry import eligible, enough_healthy, failures, format_figures
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.registry import Coin, CoinHealth, Discovery, Figures, Registry
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.decision import Decision

OFF = "This bot has no registry. At a venue that has one, registry: {enabled: true} in the configuration turns it on."
Named = Annotated[str | None, typer.Argument(metavar="SYMBOL", help="Show one coin in full.", autocompletion=symbols)]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ask the broker about every coin now.")]


class CoinRow(Struct, frozen=True):
    """One coin: its tier (None if it has none, or was never evaluated), and its last figures.

    If an entry would be refused, `reason` says why, with the `observed` value and the `limit`. The volume is that of 24
    hours in USD, the spread is a fraction of the midpoint, and the price is the midpoint. `since` is when the tier
    began, `rises_at` when the coin may rise to `rising_to`. `health` is the health of its data, with the `failed`
    checks. The data is checked again in `passes_until_look` entry passes, but not before `next_look_at`. The last three
    fields are the tier's limits.
    """

    symbol: str
    tier: str | None
    pinned: bool
    reason: "Reason | None"
    observed: str
    limit: str
    volume_usd: Decimal | None
    spread_fraction: Decimal | None
    price: Decimal | None
    since: datetime | None
    measured_at: datetime | None
    rising_to: str | None
    rises_at: datetime | None
    health: str | None
    health_since: datetime | None
    looked_at: datetime | None
    failed: str
    passes_until_look: int
    next_look_at: datetime | None
    max_leverage: Decimal | None
    max_notional_usd: Decimal | None
    slippage_fraction: Decimal | None


class LeftOutRow(Struct, frozen=True):
    """A contract that the venue lists, or used to list, but that isn't traded: the reason, and its figures."""

    symbol: str
    since: datetime
    why: str
    figures: str


class DiscoveryData(Struct, frozen=True):
    """What discovery found: when the venue's list was last accepted, how many contracts it has, and the excluded ones.

    `problem` says why a later list wasn't accepted.
    """

    at: datetime | None
    listed: int
    traded: int
    problem: str
    left_out: tuple[LeftOutRow, ...]


class RegistryData(Struct, frozen=True):
    """All coins as of `as_of`, the most liquid ones first, and the number of coins open for entries.

    Entries pause for all coins while fewer than `needed` of them are `healthy`. Without a registry there are no
    `coins`, and without discovery there is no `discovery`.
    """

    as_of: datetime
    enabled: bool
    paused: bool
    healthy: int
    needed: int
    eligible: int
    coins: tuple[CoinRow, ...]
    discovery: DiscoveryData | None = None


def run(app: "App", symbol: str | None = None, *, refresh: bool = False) -> Report:
    """Show the coins and the health of their data; exit 10 if entries pause because of it."""
    named = None if symbol is None else in_universe(app, symbol)
    if (rules := app.rules.registry) is None:
        if refresh:
            raise OperatorError("there is no registry to refresh", OFF)
        return Report("registry", RegistryData(app.stamp_time(), False, False, 0, 0, 0, ()), _render)
    now = _refresh(app) if refresh else app.stamp_time()
    stored = app.existing_facts
    registry = Registry(rules, app.rules.every_symbol, stored.registry() if stored else {})
    rows = [_row(registry, symbol, now, pinned=symbol in app.rules.pinned) for symbol in registry.symbols]
    data_health = enough_healthy(registry, now)
    data = RegistryData(
        now,
        True,
        not data_health.passed,
        registry.healthy(now),
        rules.health.needed_count(len(rows)),
        sum(row.reason is None for row in rows),
        tuple(sorted((row for row in rows if named in (None, row.symbol)), key=_liquid_first)),
        _discovery(stored.discovery() if stored else Discovery()) if rules.discovery else None,
    )
    code = ExitCode.DONE if data_health.passed else ExitCode.FINDINGS
    return Report("registry", data, _render if named is None else _render_one, code)


def _refresh(app: "App") -> datetime:
    """Fetch the venue's contracts and check every coin now; return the broker's time."""
    now = app.now()
    look_for_coins(app.world(proposing=False, asking=True), now, at_once=True)
    look_at_coins(replace(app.world(proposing=False, asking=True), bars=app.bars), now, all_of_them=True)
    return now


def _discovery(search: "Discovery") -> DiscoveryData:
    left_out = (
        LeftOutRow(coin.symbol, coin.since, coin.why, format_figures(coin.figures)) for coin in search.found if coin.why
    )
    return DiscoveryData(search.at, search.listed_count, len(search.symbols), search.problem, tuple(left_out))


def _liquid_first(row: CoinRow) -> tuple[str, Decimal, str]:
    return row.tier or "~", -(row.volume_usd or Decimal(0)), row.symbol


def _row(registry: "Registry", symbol: str, now: datetime, *, pinned: bool) -> CoinRow:
    decision, coin, tier = eligible(registry, symbol, now), registry.coins.get(symbol), registry.tier_of(symbol, now)
    rank, data = (coin.rank, coin.data) if coin else (None, None)
    figures = rank.figures if rank else Figures()
    rises = timedelta(seconds=registry.rules.rise_after_s)
    passes, next_look_at = _next_look(registry, coin)
    return CoinRow(
        symbol=symbol,
        tier=rank.tier.value if rank and rank.tier else None,
        pinned=pinned,
        reason=decision.reason,
        observed=_text(decision, decision.observed),
        limit=_text(decision, decision.limit),
        volume_usd=figures.volume_usd,
        spread_fraction=figures.spread_fraction,
        price=figures.price,
        since=rank.since if rank else None,
        measured_at=rank.measured_at if rank else None,
        rising_to=rank.rising_to.value if rank and rank.rising_to else None,
        rises_at=rank.rising_since + rises if rank and rank.rising_since else None,
        health=data.health.value if data else None,
        health_since=data.since if data else None,
        looked_at=data.looked_at if data else None,
        failed=failures(data.failed) if data else "",
        passes_until_look=passes,
        next_look_at=next_look_at,
        max_leverage=tier.max_leverage if tier else None,
        max_notional_usd=tier.max_notional_usd if tier else None,
        slippage_fraction=tier.slippage_fraction if tier else None,
    )


def _text(decision: "Decision", value: object) -> str:
    return "" if value is None or decision.passed else str(value)


def _next_look(registry: "Registry", coin: "Coin | None") -> tuple[int, datetime | None]:
    """Return in how many passes a coin's data is checked again, and the time before which it isn't, if any."""
    health = registry.rules.health
    if coin is None or coin.data.health is CoinHealth.HEALTHY:
        return 1, None
    if coin.data.health is CoinHealth.DEGRADED:
        return max(health.degraded_every - coin.data.skipped, 1), None
    return 1, coin.data.looked_at + timedelta(seconds=health.probe_s)


def _render(console: "Console", data: RegistryData) -> None:
    from commands.shared.tables import Table, number, sentence

    if not data.enabled:
        console.print(OFF, markup=False)
        return
    _print_head(console, data)
    columns = (
        number("volume USD"),
        number("spread"),
        number("price"),
        "since",
        "health",
        "next look",
        sentence("why not"),
    )
    table = Table("coin", "tier", *columns)
    looks = {_look(row) for row in data.coins}
    if same := len(looks) == 1 < len(data.coins):
        console.print(f"Next check of every coin: {looks.pop()}")
    for row in data.coins:
        table.row(
            row.symbol, _tier(row), _volume(row), _spread(row), _price(row), when(row.since) if row.since else "",
            row.health or "", "" if same else _look(row), _why(row),
        )  # fmt: skip
    console.print(table)
    if data.discovery:
        _print_discovery(console, data.discovery)
    console.print("Next: tradebot registry SYMBOL shows one coin in full")


def _print_discovery(console: "Console", search: DiscoveryData) -> None:
    from commands.shared.tables import Table, sentence

    if search.at:
        console.print(
            f"Of {pluralize(search.listed, 'contract')} listed at {when(search.at)}, the bot trades {search.traded}"
        )
    else:
        console.print("The venue's list of contracts hasn't been read yet: the bot trades the configured universe")
    if search.problem:
        console.print(f"The last list was rejected: {clean(search.problem)}", markup=False)
    if search.left_out:
        table = Table("left out", sentence("why"), sentence("figures"))
        for row in search.left_out:
            table.row(row.symbol, clean(row.why), clean(row.figures))
        console.print(table)


def _print_head(console: "Console", data: RegistryData) -> None:
    total = pluralize(data.eligible, "coin")
    console.print(f"{total} open for entries at {when(data.as_of)}" if not data.paused else _pause_text(data))


def _pause_text(data: RegistryData) -> str:
    healthy = f"healthy data for {data.healthy} of the {data.needed} required coins"
    return f"Entries pause at {when(data.as_of)}: {healthy}"


def _render_one(console: "Console", data: RegistryData) -> None:
    (row,) = data.coins
    _print_head(console, data)
    for name, text in _lines(row):
        if text:
            console.print(f"  {name:<10} {text}", markup=False)


def _lines(row: CoinRow) -> "Sequence[tuple[str, str]]":
    since = f", since {when(row.since)}" if row.since else ""
    pinned = ", pinned" if row.pinned else ""
    rising = f"{row.rising_to} from {when(row.rises_at)} on, if its figures stay good enough" if row.rises_at else ""
    allows = (
        f"{row.max_leverage:f} times leverage, {usd(row.max_notional_usd)} USD, {row.slippage_fraction:.2%} slippage"
        if row.max_leverage and row.max_notional_usd and row.slippage_fraction
        else ""
    )
    figures = " · ".join(
        part
        for part in (_text_and_noun(_volume(row), "USD a day"), _text_and_noun(_spread(row), "spread"), _price(row))
        if part
    )
    health = f"{row.health}{f', since {when(row.health_since)}' if row.health_since else ''}" if row.health else ""
    return (
        ("coin", row.symbol),
        ("tier", f"{_tier(row)}{pinned}{since}"),
        ("allows", allows),
        ("rises to", rising),
        ("figures", figures),
        ("measured", when(row.measured_at) if row.measured_at else ""),
        ("data", health),
        ("failed", row.failed),
        ("next look", _look(row)),
        ("refused", f"{_why(row)}. {REASONS[row.reason].meaning}" if row.reason else ""),
    )


def _text_and_noun(text: str, what: str) -> str:
    return f"{text} {what}" if text else ""


def _tier(row: CoinRow) -> str:
    return row.tier or ("none" if row.looked_at else "unknown")


def _volume(row: CoinRow) -> str:
    return "" if row.volume_usd is None else f"{row.volume_usd:,.0f}"


def _spread(row: CoinRow) -> str:
    return "" if row.spread_fraction is None else f"{row.spread_fraction:.2%}"


def _price(row: CoinRow) -> str:
    return "" if row.price is None else usd(row.price, row.symbol)


def _look(row: CoinRow) -> str:
    if row.next_look_at:
        return f"from {when(row.next_look_at)} on"
    return "next pass" if row.passes_until_look == 1 else f"in {row.passes_until_look} passes"


def _why(row: CoinRow) -> str:
    if row.reason is None:
        return ""
    limit = f" (needs {row.limit})" if row.limit else ""
    return clean(f"{row.reason}: {row.observed}{limit}")


@on_bot(
    "registry",
    VerbPurpose.LOOK,
    220,
    {"registry/1": (RegistryData,)},
    epilog="tradebot registry\ntradebot registry BTC\ntradebot registry --refresh",
)
def registry(bot: "App", symbol: Named = None, refresh: Refresh = False) -> Report:
    """Show which coins may be traded, and how much of each.

    Each coin has a tier, by its daily volume, its spread and its price, and the health of its data. Only the bot's own
    records are read, unless --refresh queries the broker. Exits with code 10 while entries pause because too few coins
    have healthy data.
    """
    return run(bot, symbol, refresh=refresh)
