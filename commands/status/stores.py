"""`tradebot status --stores`: the contents, retention and size of the state folder."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from rich.console import Console

from commands.shared.tables import Table, number, sentence
from commands.shared.times import stamp, zone
from tradebot.adapters.ledger.migration import MOST_COPIES
from tradebot.judging.evidence import StoreEvidence

if TYPE_CHECKING:
    from tradebot.app.settings import Settings
    from tradebot.app.wiring import App

MB = 1_000_000
DAYS = 365
ALWAYS, BY_HAND, IN_PLACE = "always", "until you delete it", "overwritten in place"


class Store(Struct, frozen=True):
    """One store: its files, what they contain, how long they are kept, their size in bytes, and their age.

    `oldest` is when the oldest file was modified. It is None if there is no file; if the store is a single growing
    file, it is when that file last changed. `money` is True for records of money, which are never deleted. `year_bytes`
    estimates the size after a year at the current pace; it is None before the first session, or if sessions don't make
    it grow.
    """

    name: str
    holds: str
    kept: str
    money: bool
    files: int
    bytes: int
    oldest: datetime | None
    year_bytes: int | None = None


class Stores(Struct, frozen=True):
    """All stores of a state folder, and the size of everything in it, in bytes."""

    state_dir: str
    stores: tuple[Store, ...]
    bytes: int


class Retention(NamedTuple):
    """A store's name, its file patterns, what it contains, how long that is kept, and whether it records money.

    If nothing else limits the store, `shrink` says how a person can make room; it is shown once the store is larger
    than `storage.tell_mb`. If the store grows with sessions, `sessions` returns for how many sessions it keeps content.
    """

    name: str
    patterns: tuple[str, ...]
    holds: str
    kept: str
    money: bool = False
    shrink: str = ""
    sessions: "Callable[[Settings, int], int] | None" = None


def _all(settings: "Settings", year: int) -> int:
    return year


def _kept_decision_days(settings: "Settings", year: int) -> int:
    return settings.storage.decisions_days * year // DAYS


RETENTIONS = (
    Retention(
        "ledger", ("ledger.db", "ledger.db-journal"), "orders, fills, cash, halts", ALWAYS, money=True, sessions=_all
    ),
    Retention(
        "journal",
        ("journal.jsonl", "journal.torn-*"),
        "a second copy of money records",
        ALWAYS,
        money=True,
        sessions=_all,
    ),
    Retention(
        "earlier ledgers",
        ("ledger.db-version-?", "ledger.db-version-?.?"),
        "the ledger before each upgrade",
        f"of each version, the first {MOST_COPIES - 1} copies and the last one",
        money=True,
    ),
    Retention(
        "facts",
        ("facts.db", "facts.db-*"),
        "replies of flow sources; decisions of passes; sessions compared with their backtests; the registry of coins",
        "as storage.facts_days says; decisions as storage.decisions_days says; a session's last equity and prices "
        "forever",
        sessions=_kept_decision_days,
    ),
    Retention(
        "bars",
        ("bars.db", "bars.db-*", "bars/**/*"),
        "bars and corporate actions; can be fetched again",
        BY_HAND,
        shrink="stop the bot, then rm -rf bars.db* bars in the state folder; the bot fetches again what it needs",
    ),
    Retention(
        "replies",
        ("replies.db", "replies.db-*"),
        "the flow source's replies, unchanged",
        "as many sessions as unusual_whales.keep_raw_sessions says",
        sessions=lambda settings, year: settings.unusual_whales.keep_raw_sessions,
    ),
    Retention(
        "passes",
        ("passes.db", "passes.db-*"),
        "what each pass read and decided, so that `replay` can decide it again",
        "as many sessions as storage.replay_sessions says",
        sessions=lambda settings, year: settings.storage.replay_sessions,
    ),
    Retention(
        "events",
        ("system_events.jsonl", "system_events.jsonl.?"),
        "operational events",
        "storage.events_files of storage.events_mb each, and the current one",
    ),
    Retention(
        "assistant",
        ("mcp.token",),
        "the digest of the token that `mcp --http` asks for",
        IN_PLACE,
    ),
    Retention(
        "web",
        ("web.token",),
        "the digest of the token that `web` asks for",
        IN_PLACE,
    ),
    Retention(
        "tail",
        ("tail/*",),
        "net assets, orders, trades and errors as lines, to tail",
        "as many files, and as large, as the event files",
    ),
    Retention(
        "backups",
        ("backups/**/*",),
        "copies of ledger and journal",
        f"as many sessions as storage.backups says; backups made by hand {BY_HAND}",
        shrink="tradebot backup --list; then rm -r backups/NAME in the state folder for backups made by hand",
    ),
    Retention(
        "backtests",
        ("backtests/**/*",),
        "backtests, and the counts of their trials",
        BY_HAND,
        shrink="rm -r backtests/NAME in the state folder for those that you no longer compare",
    ),
    Retention("quarantine", ("quarantine/**/*",), "damaged or replaced books", BY_HAND, money=True),
    Retention("drills", ("drills/**/*",), "the evidence of drills", "until the drill is run again"),
    Retention("plans", ("plans/**/*",), "proposed reconcile plans", "as many as storage.plans says"),
    Retention("exchange", ("exchange/**/*",), "the embedded exchange's market and log", "as long as the sandbox"),
    Retention("latch", ("ARMED", "HALT"), "whether entries are allowed", "until unhalt or halt"),
    Retention(
        "marks",
        (
            "state.id",
            "state.id.copy",
            "state.home",
            "books.checked",
            "sending",
            "serve.json",
            "serve.starts",
            "serve.trace",
            "lock",
            "*.lock",
        ),
        "which bot owns the folder, and who is using it",
        IN_PLACE,
    ),
    Retention(
        "log",
        ("serve.log", "serve.log.*"),
        "what serve did, for programs, if --log names this file",
        "serve.log_files of serve.log_mb each, and the current one",
    ),
    Retention(
        "quota",
        ("flow.quota", "news.quota"),
        "the remaining quotas of the flow and news sources",
        IN_PLACE,
    ),
    Retention(
        "venue",
        ("venue.nonce", "venue.day", "venue.account"),
        "the key's last nonce, with a checksum; the account's number, and its value at midnight",
        IN_PLACE,
    ),
    Retention("simulated", ("venue.json",), "the account of a strategy in shadow", "orders and fills of 30 days"),
    Retention(
        "shadow",
        ("shadow/**/*",),
        "the books of strategies in shadow",
        BY_HAND,
        shrink="delete a strategy's folder; the strategy then starts its shadow account again",
    ),
    Retention(
        "notices",
        ("notices.db", "notices.db-*"),
        "notices that were sent, and those still to be sent",
        "the last 1,000 notices",
    ),
    Retention(
        "approvals",
        ("approvals.db", "approvals.db-*"),
        "which entries waited for approval, and the answers",
        "the last 1,000 requests",
    ),
    Retention(
        "chat",
        ("chat.db", "chat.db-*"),
        "who may use the chat, what was requested and refused",
        "the last 1,000 messages",
    ),
    Retention("evidence", ("evidence.json",), "a backtest's data besides its books", IN_PLACE),
    Retention("dry run", ("dry_run.json",), "the decisions of the last dry run of entries", IN_PLACE),
    Retention("models", ("models.json",), "which models of learned policies last passed their test", IN_PLACE),
    Retention(
        "configuration",
        ("tradebot.yaml", "policies.yaml"),
        "your settings, and the models that a walk put into shadow",
        BY_HAND,
    ),
    Retention("demo", ("demo.yaml", "demo.json"), "the options of the last demo, and its result", IN_PLACE),
    Retention(
        "moved aside",
        (
            "aside-*/**/*",
            "*.aside",
            "*.aside/**/*",
            "*.damaged-*",
            "*.earlier-*",
            "HALT.*.taken",
            "HALT.*.taken/**/*",
            "rebuilding/**/*",
            "*.new",
        ),
        "files that were damaged, in the way, incomplete, or from an earlier version",
        BY_HAND,
        shrink="tradebot doctor; if all is well, delete the files that were moved aside",
    ),
)
"""Every store, with how long its data is stored; docs/internals/STORES.md shows the same table."""


class GrowthPace(NamedTuple):
    """How fast the stores grow: in how many sessions they reached their current sizes.

    `year` is the number of sessions in a year.
    """

    settings: "Settings"
    sessions: int
    year: int


def pace_of(app: "App") -> GrowthPace | None:
    """Return the pace at which a bot's stores grow; None before its first session."""
    began, last = app.ledger_view.books_opened_at(), app.existing_facts.last_pass() if app.existing_facts else None
    if began is None or last is None:
        return None
    day, ledger = app.settings.day, app.ledger_view
    sessions = ledger.sessions(day.date_of(began), day.date_of(last))
    calendar = ledger.sessions(day.date_of(last) - timedelta(days=DAYS), day.date_of(last) + timedelta(days=DAYS))
    # If less than a year of the calendar is known, estimate from the known part.
    span = (calendar[-1].date - calendar[0].date).days + 1 if calendar else 0
    return GrowthPace(app.settings, len(sessions), round(len(calendar) * DAYS / span)) if sessions and span else None


def stores_of(folder: Path, pace: GrowthPace | None = None) -> Stores:
    """Return every store of a folder that has files, the ledger first."""
    stores = tuple(store for store in (_store(folder, retention, pace) for retention in RETENTIONS) if store.files)
    return Stores(str(folder), stores, sum(size for size, _ in _files(folder, ("**/*",))))


def unbounded_stores(folder: Path) -> Sequence[StoreEvidence]:
    """Return the stores that only a person can make smaller, with instructions, the largest first.

    Raises OSError if a store can't be read.
    """
    stores = (
        StoreEvidence(store.name, _store(folder, store).bytes, store.shrink) for store in RETENTIONS if store.shrink
    )
    return sorted(stores, key=lambda store: store.bytes, reverse=True)


def _store(folder: Path, retention: Retention, pace: GrowthPace | None = None) -> Store:
    files = list(_files(folder, retention.patterns))
    oldest, size = min((at for _, at in files), default=None), sum(size for size, _ in files)
    year_bytes = None
    if pace and retention.sessions and (most := retention.sessions(pace.settings, pace.year)):
        year_bytes = size * min(most, pace.year) // min(most, pace.sessions)
    return Store(
        name=retention.name,
        holds=retention.holds,
        kept=retention.kept,
        money=retention.money,
        files=len(files),
        bytes=size,
        oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
        year_bytes=year_bytes,
    )


def _files(folder: Path, patterns: tuple[str, ...]) -> Iterator[tuple[int, float]]:
    """Yield the size and modification time of each file, leaving out a file that is removed in the meantime."""
    for path in {path for pattern in patterns for path in folder.glob(pattern)}:
        try:
            stat_result = os.lstat(path)
        except FileNotFoundError:
            continue
        if not path.is_dir():
            yield stat_result.st_size, stat_result.st_mtime


def show(console: "Console", data: Stores) -> None:
    """Print a row per store, and the size of all."""
    written = f"oldest file written {zone()}"
    table = Table("store", number("MB"), number("in a year"), sentence("holds"), sentence("kept"), written)
    for store in data.stores:
        oldest = stamp(store.oldest) if store.oldest else ""
        year = "" if store.year_bytes is None else f"{store.year_bytes / MB:,.0f}"
        table.row(store.name, f"{store.bytes / MB:,.1f}", year, store.holds, store.kept, oldest)
    console.print(table)
    whole = sum(store.year_bytes or 0 for store in data.stores)
    after = f"; about {whole / MB:,.0f} MB after a year at this rate" if whole else ""
    console.print(f"{data.bytes / MB:,.1f} MB in {data.state_dir}{after}", markup=False)
