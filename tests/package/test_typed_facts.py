"""What the code must know later is a field or a row: nobody reads it out of a sentence, an id of ours, or by LIKE."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.package.test_house import ROOT

SQL = re.compile(r"\b(?:LIKE|GLOB|REGEXP)\b")
READS = frozenset({"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition"}) | frozenset(
    {"split", "rsplit", "splitlines", "find", "rfind"}
)
MATCHES = frozenset({"match", "fullmatch", "search", "findall", "finditer"})
OF_RE = frozenset({"split", "sub", "subn"})
READING = re.compile(rf"{SQL.pattern}|\b(?:{'|'.join(READS | MATCHES | OF_RE)})\b|['\")]\s+(?:not\s+)?in\b")
"""What every module has that reads text."""
IDS = frozenset({"activity_id", "client_order_id", "venue_order_id", "venue_id", "plan_id", "about"})
REASONS = frozenset(
    {"why", "trading_why", "who", "reason", "message", "hint", "detail", "details", "cause", "override"}
)
WORDS = IDS | REASONS
"""What sentences, and ids that our stores hold, are called wherever they stand."""
STORES = ("ledger/", "facts/", "state/halt_switch", *(f"recovery/{name}" for name in ("integrity_check", "rebuild")))
"""How the modules of the adapters begin that keep what we know: like the core they read no text at all."""

DOCUMENTED = (ast.FunctionDef, ast.ClassDef, ast.Module)

EXCEPTIONS = {
    "tradebot/model/intent.py:mark_of": "the mark in a venue's client order id is all that a venue keeps for us",
    "tradebot/model/trading.py:missed_reason": "the reason in the holder of a missed slot, written and read here alone",
    "tradebot/timetable/chore_times.py": "times as people write them in the configuration",
    "tradebot/timetable/entries.py": "lines as people write them in the configuration",
    "tradebot/timetable/job_times.py": "times as people write them in the configuration",
    "tradebot/timetable/strategy_times.py": "times as people write them in the configuration",
    "tradebot/signals/subjects/calendars.py:_release": "a source's row has no other name of a report; read once",
    "tradebot/signals/subjects/market.py:category_of": "no other way to tell what a headline is about; read once",
    "tradebot/model/limits.py": "numbers as people write them in the configuration",
    "tradebot/views/why_no_orders.py:_minutes_from_open": "the name of a slot, by which alone the books store it",
    "tradebot/model/event.py:__new__": "the subsystem and the type in a kind's own row, written in this program",
    "tradebot/model/fact_kind.py:parse_field_types": "a row's fields in the words of the documentation, ours",
    "commands/drill/stage.py:entries": "the exchange's log judges a drill, and it has ids only",
    "tradebot/replaying/record_json.py:_plain": "names in a text that this program writes and reads here alone",
    "tradebot/views/notification_events.py:_event_lines": "the lines of a text for people, written in this program",
    "tradebot/app/keys.py:_learn_addresses": "the pieces of an address that a person wrote",
    "tradebot/app/keys.py:load_secrets": "the names of variables that have addresses, chosen by a person",
    "tradebot/app/keys.py:is_secret": "the families of variables that have secrets, by the names that people give them",
    "tradebot/model/notice.py:quiet_hours": "hours as people write them in the configuration",
    "tradebot/app/settings.py": "the configuration: names in the environment, lists as people write them",
    "tradebot/adapters/ledger/file.py:describe_damage": "the lines of SQLite's own report, without its heading",
    "tradebot/model/sentences.py": "the first words of a message of the validator, which people shall not read",
    "tradebot/strategies/settings.py": "which names a strategy may have",
    "tradebot/app/baseline.py:origin_of": "the dotted name of a setting",
    "tradebot/app/baseline.py:counts_at_start": "the dotted name of a setting",
    "tradebot/model/auction.py:read_value": "what a position that gives way is worth, written and read here alone",
    "tradebot/exits/exit_reasons.py": "the grammar of composed exit reasons, written and read in this one place",
    "tradebot/gates/permission.py": "the dotted name of a setting",
    "tradebot/app/sandbox.py": "addresses and file names",
    "tradebot/lab/backtest/run.py": "the head of a file, and dotted names of parts and modules",
    "tradebot/lab/backtest/venue.py:_last_known": "which names may be symbols, as the reader of the API has it",
    "tradebot/lab/backtest/lookahead.py:last_date": "dates in files that a person declares",
    "tradebot/lab/backtest/lookahead.py:note_opened": "the paths of files that a strategy opens",
    "tradebot/lab/search/cluster.py": "addresses that a person writes, and the first line of what Ray says, to show it",
    "tradebot/lab/search/space.py": "dotted names of settings, and the places of mistakes in a person's file",
    "tradebot/lab/search/study.py": "the address of a storage, as a person writes it",
    "tradebot/lab/search/workers.py": "lines that this module writes into a pipe, and those of /proc",
    "tradebot/lab/backtest/results.py": "names of folders as people write them, and the lines of the list of trials",
    "tradebot/signals/subjects/open_interest.py": "the venue's symbols of options",
    "tradebot/signals/subjects/insiders.py": "the source's words for a trade, and its ranges of amounts",
    "tradebot/signals/fields.py": "the venue's symbols of options",
    "tradebot/views/trades/account_trades.py": "the venue's symbols of options and of cryptocurrencies",
    "tradebot/adapters/facts/facts.py:retry_when_damaged": "the names of a class's methods",
    "tradebot/replaying/record_writer.py": "the names of classes, of ports and of their methods",
    "tradebot/replaying/passes.py:questions": "the names of methods",
    "tradebot/replaying/port_recording.py:_is_port": "the names of ports and of their methods",
    "tradebot/__main__.py": "the name of a module that is not installed",
    "commands/shared/usage.py": "what the library of the command line says, put into our own words",
    "tradebot/adapters/ledger/schema.py:translate_errors": "the names that SQLite gives its errors",
    "tradebot/adapters/ledger/journal.py": "the lines of the journal's file, and the fields of its format",
    "tradebot/adapters/ledger/journal_reader.py": "the lines of the journal's file",
    "tradebot/adapters/recovery/rebuild_sources.py:words_of": "a field of a record's JSON, too long to be parsed",
    "tradebot/adapters/recovery/rebuild.py:_record_intent_again": "two fields of a long record's JSON",
}
"""Where text is read all the same, and which."""


class Read(NamedTuple):
    """One place where text is taken apart or looked into."""

    where: str
    line: int
    what: str


def reads(tree: ast.AST, module: str, *, strictly: bool) -> Iterator[Read]:
    """Yield where text is matched: all of it where `strictly`, else what is named like a reason or an id."""
    for place, node in _placed(tree, module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            yield Read(place, node.lineno, "LIKE")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if _reads_text(node, node.func, strictly=strictly):
                yield Read(place, node.lineno, ast.unparse(node))
        elif isinstance(node, ast.Compare) and _looks_into(node):
            yield Read(place, node.lineno, ast.unparse(node))


def _reads_text(call: ast.Call, function: ast.Attribute, *, strictly: bool) -> bool:
    by_pattern = function.attr in MATCHES or (function.attr in OF_RE and ast.unparse(function.value) == "re")
    subjects = {_named(argument) for argument in call.args} if by_pattern else {_named(function.value)}
    return (by_pattern or function.attr in READS) and (strictly or bool(subjects & WORDS))


def _looks_into(comparison: ast.Compare) -> bool:
    inside = any(isinstance(operator, ast.In | ast.NotIn) for operator in comparison.ops)
    text = isinstance(comparison.left, ast.Constant | ast.JoinedStr)
    return inside and text and _named(comparison.comparators[-1]) in WORDS


def _placed(tree: ast.AST, place: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield each piece of code with the function that it stands in; documentation is no code."""
    # A generator of its own for each level of the tree would take most of the time.
    left = [(place, tree)]
    while left:
        place, parent = left.pop()
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant) and isinstance(parent, DOCUMENTED):
                continue
            inner = f"{place.partition(':')[0]}:{child.name}" if isinstance(child, ast.FunctionDef) else place
            yield inner, child
            left.append((inner, child))


def _named(node: ast.expr) -> str:
    """Return what an expression is called: the last part of a path, or the key that is asked for."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    if isinstance(node, ast.Call):
        return _named(node.args[0] if node.args else node.func)
    return node.id if isinstance(node, ast.Name) else ""


def is_strict(path: str) -> bool:
    if path.startswith("tradebot/venues/"):
        return False
    if path.startswith("tradebot/adapters/"):
        return path.removeprefix("tradebot/adapters/").startswith(STORES)
    return path.startswith("tradebot/")


def found() -> list[Read]:
    """Return every place of the program that reads text."""
    every = list[Read]()
    for room in ("tradebot", "commands", "jobs"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith("exchange/src/papervenue/"):
                continue
            # Many modules read no text at all, and parsing them would take most of the time.
            if READING.search(text := path.read_text()):
                every += reads(ast.parse(text), name, strictly=is_strict(name))
    return every


def test_code_reads_no_facts_from_sentences_or_ids() -> None:
    names = {read: {read.where, read.where.partition(":")[0]} for read in found()}
    assert [read for read, its in names.items() if not its & EXCEPTIONS.keys()] == []
    assert EXCEPTIONS.keys() - set().union(*names.values()) == set(), "an exception that nothing needs any more"


@pytest.mark.parametrize(
    ("source", "strictly"),
    [
        ("def f(halt):\n    return CAUSE.findall(halt.why)", False),
        ("def f(state):\n    return re.match('override', state['why'])", False),
        ("def f(fill):\n    return fill.activity_id.startswith('activity:')", False),
        ("def f(fill):\n    return str(fill.activity_id).partition(':')[0]", False),
        ("def f(state):\n    return 'override' in state.why", False),
        ("def f(name):\n    return name.removesuffix(':from')", True),
        ("def f(name):\n    return OLD.fullmatch(name)", True),
        ("QUERY = \"SELECT why FROM cash WHERE why LIKE 'activity:%'\"", False),
        ("def f(ask, mark):\n    return ask(f\"SELECT id FROM fills WHERE id GLOB '{mark}*'\")", False),
    ],
)
def test_every_way_to_read_a_sentence_is_detected(source: str, strictly: bool) -> None:
    assert len(list(reads(ast.parse(source), "m.py", strictly=strictly))) == 1
