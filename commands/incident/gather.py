"""Collect a bot's data about one pass or order: its record, its outcome, and the log entries around it."""

import getpass
import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from commands.shared.verb_options import jsonable
from tradebot import __version__
from tradebot.adapters.ledger.journal import SCHEMA as JOURNAL_FORM
from tradebot.adapters.ledger.journal import JournalRecord
from tradebot.adapters.ledger.journal_reader import read
from tradebot.adapters.state.events import last_events
from tradebot.adapters.state.safe_open import NotRegularFileError, read_plain
from tradebot.adapters.state.state_folder import EVENTS, JOURNAL, LEDGER_VERSION
from tradebot.adapters.state.user_files import read_env_file
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import encode
from tradebot.adapters.text.extras import DISTRIBUTION
from tradebot.adapters.text.handed_over import NAMED, PUBLIC, URL, IdentityRedactor, host_of
from tradebot.app.keys import load_secrets
from tradebot.errors import OperatorError, TradebotError, word
from tradebot.model.struct_tools import replace
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.passes import SCHEMA as RECORD
from tradebot.replaying.passes import RecordedCycle, read_record
from tradebot.replaying.port_recording import OrderedReplies
from tradebot.replaying.record_json import record_from_json, record_to_json, rewrite_body, without_digests
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses
    from tradebot.app.wiring import App
    from tradebot.model.intent import IntentKey, IntentRecord
    from tradebot.model.record import CycleRecord
    from tradebot.ports.world import Rules

T = TypeVar("T")
AROUND = timedelta(minutes=10)
MOST_LINES = 2_000
"""The most lines of the journal, of events and of the log that a file has, each."""
SERVE_LOG = "serve.log"


class IncidentSubject(Struct, frozen=True):
    """The data about a pass or an order; `at` is when the pass began, None if unknown.

    `lacking` lists unreadable data, with the reasons.
    """

    pass_id: str
    order: str | None
    at: datetime | None
    kept: "KeptPass | None"
    cycle: "CycleRecord | None"
    intents: "tuple[IntentRecord, ...]"
    every_intent: "tuple[IntentRecord, ...]"
    lacking: tuple[str, ...]
    unread: bool = False
    """True if the file of the records can't be read."""


def found_of(app: "App", typed: str) -> IncidentSubject:
    """Return the data for the id of a pass or an order; raise OperatorError if there is none."""
    lacking = list[str]()
    every = tuple(_read_or_note(lacking, "orders", lambda: app.ledger_view.intents()) or ())  # noqa: PLW0108
    order = next((record for record in every if record.intent.client_order_id == typed), None)
    name = order.intent.cycle_id if order else typed
    passes = _read_or_note(lacking, "records of passes", app.passes.passes)
    kept_pass = next((kept_pass for kept_pass in passes or () if kept_pass.id == name), None)
    facts = app.existing_facts
    cycle = _read_or_note(lacking, "decisions", lambda: facts.cycle(name) if facts else None)
    intents = tuple(record for record in every if record.intent.cycle_id == name)
    if not (kept_pass or cycle or intents):
        hint = "tradebot orders --all --json lists order ids; tradebot replay and why-no-orders show pass ids"
        raise OperatorError(f"No pass or order has the id {word(typed)}.", hint)
    at = kept_pass.at if kept_pass else cycle.at if cycle else intents[0].intent.at
    return IncidentSubject(
        name, typed if order else None, at, kept_pass, cycle, intents, every, tuple(lacking), passes is None
    )


def _read_or_note(lacking: list[str], what: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except TradebotError as error:
        lacking.append(f"{what}: {error.message}")
        return None


def versions() -> dict[str, Any]:
    """Return the versions of the program, its runtime environment, and its stored formats."""
    forms = {"journal": JOURNAL_FORM, "ledger": LEDGER_VERSION, "record of a pass": RECORD}
    system = f"{platform.system()} {platform.machine()}"
    return {
        "tradebot": __version__, "python": platform.python_version(), "system": system, "libraries": _libraries(),
        "forms": forms,
    }  # fmt: skip


def _libraries() -> dict[str, str]:
    versions = dict[str, str]()
    try:
        needed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return versions
    for line in needed:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))


def file_parts(app: "App", subject: IncidentSubject) -> Iterator[tuple[str, Any]]:
    """Yield the name and contents of each part of the file, except for the pass's own record."""
    if subject.cycle:
        yield "decisions", encode(subject.cycle)
    names = {intent.intent.client_order_id for intent in subject.intents}
    if subject.intents:
        orders = [order for order in app.ledger_view.orders() if order.client_order_id in names]
        ids = {order.venue_id for order in orders}
        fills = [fill for fill in app.ledger_view.fills() if fill.fill.venue_order_id in ids]
        yield (
            "orders",
            {
                "intents": [encode(intent) for intent in subject.intents],
                "orders": [encode(order) for order in orders],
                "fills": [encode(fill) for fill in fills],
            },
        )
        names |= ids
    if journal := _journal(app, {subject.pass_id, *names}):
        yield "journal", journal
    if subject.at:
        yield "events", [jsonable(event) for event in _events(app, subject.at)]
        if lines := _log(app, subject.at):
            yield "log", lines


def _journal(app: "App", names: set[str]) -> list[Any]:
    """Return the journal's records that name the pass or one of its orders."""
    lines, wanted = list[Any](), [name.encode() for name in sorted(names)]

    def look(record: JournalRecord) -> None:
        if len(lines) < MOST_LINES and any(name in record.payload for name in wanted):
            head = {"seq": record.head.sequence, "at": record.at, "kind": record.kind}
            lines.append({**head, "payload": json.loads(record.payload)})

    return lines if _read_or_note([], "journal", lambda: read(app.folder.path / JOURNAL, each=look)) else []


def _events(app: "App", at: datetime) -> Sequence[Any]:
    events, _ = last_events(app.folder.path / EVENTS, 100_000)
    return [event for event in events if abs(event.timestamp - at) <= AROUND][-MOST_LINES:]


def _log(app: "App", at: datetime) -> Sequence[Any]:
    """Return what `serve` logged around a trading time, if its log is in the bot's folder."""
    try:
        lines = read_plain(app.folder.path / SERVE_LOG).splitlines()
    except (OSError, NotRegularFileError):
        return []
    return [row for row in map(_row, lines) if row and _is_near(row, at)][-MOST_LINES:]


def _row(line: bytes) -> Mapping[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _is_near(row: Mapping[str, Any], at: datetime) -> bool:
    try:
        return abs(parse_time(row.get("trading_time") or row["timestamp"]) - at) <= AROUND
    except (LookupError, ValueError, TypeError, AttributeError):
        return False


def redactor_of(app: "App", subject: "IncidentSubject", environ: Mapping[str, str]) -> IdentityRedactor:
    """Return a redactor for all private data of a bot."""
    _load_all_secrets(app, environ)
    account = app.folder.account_number
    host = platform.node()
    environment = {**_env_file(), **environ}
    hosts = {
        host,
        *_hosts(environment.values()),
        *_hosts([app.settings.model_dump_json()]),
        *(set(app.settings.health.hosts) - PUBLIC),
    }
    names = {name: "host" for host in hosts for name in (host, host.partition(".")[0])} | {_user(): "someone"}
    words = {*_words(app.settings.model_dump(mode="json")), *_enum_words()}
    secrets = [value for name, value in environment.items() if NAMED.search(name)]
    folder = str(app.folder.path.absolute())
    remaining = {name: by for name, by in names.items() if name.lower() not in words}
    ids = dict[str, str]()
    redactor = IdentityRedactor(account, folder, remaining, ids=ids, salt=app.folder.id, secrets=secrets)
    text = cache(redactor.once)
    ids.update(
        (record.intent.client_order_id, hidden_id(record.intent.key, text))
        for record in subject.every_intent
        if record.intent.key.account == account
    )
    return redactor


def hidden_id(key: "IntentKey", text: Callable[[str], str]) -> str:
    """Return an order's id after redacting each text in it with `text`."""
    account, strategy, slot = text(key.account), text(key.strategy), text(key.slot)
    symbol, target = text(key.symbol), text(key.target)
    anew = replace(key, account=account, strategy=strategy, slot=slot, symbol=symbol, target=target)
    return anew.client_order_id()


def _load_all_secrets(app: "App", environ: Mapping[str, str]) -> None:
    """Load every key and address once, because only keys that this process has loaded are hidden in texts."""
    with suppress(TradebotError):
        load_secrets(environ, Path(".env"), app.settings.venue)
    load_secrets(environ, None, app.settings.venue)


def _env_file() -> Mapping[str, str]:
    try:
        return read_env_file(Path(".env"))
    except TradebotError:
        return {}


def _hosts(texts: Iterable[str]) -> Iterator[str]:
    """Yield the hosts of the addresses in texts, without those that everybody has."""
    for text in texts:
        for match in URL.finditer(text):
            host = host_of(match[2])
            if host not in PUBLIC and not host.startswith("127."):
                yield host


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return ""
    return "" if name == "root" else name


def _words(value: Any) -> Iterator[str]:
    """Yield the names of settings and symbols, which identify nobody's machine."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield str(name).lower()
            yield from _words(item)
    elif isinstance(value, list):
        yield from (word.lower() for word in value if isinstance(word, str) and re.fullmatch(r"[A-Z][A-Z0-9./]*", word))


def _enum_words() -> Iterator[str]:
    for kind in StrEnum.__subclasses__():
        if kind.__module__.startswith("tradebot."):
            yield from (str(enum.value).lower() for enum in kind)


EQUAL, DIFFERS, NONE = "equal", "differs", "none"
"""The result of replaying the pass where the file is made: equal, different, or impossible."""


def pack_pass(
    passes: "KeptPasses", kept_pass: "KeptPass", rules: "Callable[[RecordedCycle], Rules]", redactor: IdentityRedactor
) -> tuple[str, str, dict[str, Any]]:
    """Replay a pass and remove private data from its record.

    Returns whether the decisions are equal, how they differ, and the record. Raises RecordError if the record can't be
    used.
    """
    kept_record = passes.record(kept_pass.id)
    if kept_record is None:
        raise RecordError("it is no longer stored")
    body, parts = kept_record
    recorded = read_record(body, parts, {})
    difference = replay(recorded, rules(recorded)).difference
    tree = redact_record(record_to_json(body, parts), redactor)
    new_body, new_parts = record_from_json(tree)
    anew = None if difference else rewrite_body(new_body, new_parts, rules)
    # From a question's digest, somebody could guess its content.
    tree = record_to_json(anew or without_digests(new_body), new_parts)
    if anew is None and difference is None:
        hidden = read_record(*record_from_json(tree), {}, OrderedReplies)
        difference = replay(hidden, rules(hidden), only_decisions=True).difference
    head = {
        "id": kept_pass.id,
        "session": kept_pass.session.isoformat(),
        "at": kept_pass.at.isoformat(),
        "version": kept_pass.version,
    }
    record = {**redactor.tree(head), "in_order": anew is None, "record": tree}
    if difference is None:
        return EQUAL, "", record
    where = " ".join(filter(None, (difference.symbol, difference.strategy, difference.gate, difference.what)))
    return DIFFERS, redactor.text(f"{where}: {difference.recorded}, now {difference.replayed}"), record


def redact_record(tree: dict[str, Any], redactor: IdentityRedactor) -> dict[str, Any]:
    """Return a record without private data."""
    parts = [
        {"text": _of_json(part["text"], redactor)} if "text" in part else redactor.tree(part, named=False)
        for part in tree["parts"]
    ]
    return {**{name: redactor.tree(tree[name], named=False) for name in ("body", "outcome")}, "parts": parts}


def _of_json(text: str, redactor: IdentityRedactor) -> str:
    if not text:
        return text
    return json.dumps(redactor.tree(json.loads(text)), separators=(",", ":"), ensure_ascii=False)
