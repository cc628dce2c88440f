"""A name says what a function does or what a class holds, and no two public classes share one."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from commands.shared import listed_verbs
from tests.package.test_house import ROOT, modules

BOT = ("tradebot", "commands", "jobs")
EXCHANGE = ("exchange/src/papervenue",)
DEFINITION = re.compile(r"^( +)?(?:async )?(def|class) (_?[a-z]\w*|[A-Z]\w*)\b", re.MULTILINE)
IRREGULAR = {
    "begun",
    "built",
    "caught",
    "chosen",
    "done",
    "drawn",
    "found",
    "foreseen",
    "given",
    "gone",
    "heard",
    "held",
}
IRREGULAR |= {"hidden", "kept", "known", "laid", "learned", "left", "lost", "made", "meant", "met", "overdue", "paid"}
IRREGULAR |= {"proven", "said", "seen", "sent", "shown", "sold", "spent", "taken", "thought", "told", "torn", "won"}
IRREGULAR |= {"written"}
NO_PARTICIPLES = {"embed", "exceed", "feed", "need", "proceed", "seed", "speed", "succeed"}
RECORDED = {
    "acknowledged",
    "armed",
    "booked",
    "closed",
    "ended",
    "filtered",
    "promised",
    "stored",
    "unfinished",
}
"""Methods of ports, which passes on record call by these names."""
PUBLISHED = {"passed"}
"""Properties that plug-ins and JSON documents call by these names."""

RETIRED = {"asked", "heard", "made", "said", "standing", "told"}
"""Words that no function's name has: what is requested, reported, created or received has a term of its own."""
RETIRED_ALONE = {"bell", "ears", "place", "road", "tap", "turn"}
"""Words that are no function's whole name."""
SAYS_NOTHING_OF_A_CLASS = {
    *("again", "apart", "asked", "away", "bell", "beside", "by", "door", "ears", "floor", "found", "given", "happened"),
    *("heard", "held", "hit", "kept", "left", "look", "looked", "made", "now", "on", "other", "past", "place", "put"),
    *(
        "ran",
        "road",
        "said",
        "seen",
        "shown",
        "since",
        "standing",
        "tap",
        "then",
        "told",
        "took",
        "turn",
        "what",
        "when",
    ),
    *("whose", "why", "within"),
}
"""Words that are no public class's whole name, in lower case."""
STAYING = {*("connection_made", "put_asked", "asked_spans"), "tradebot/lab/backtest/venue.py:_turn"}
"""Names by which asyncio and passes on record call, and what another change has at the moment."""

SAY_NOTHING = frozenset({"found", "known", "one", "told", "whose"})
"""Names of locals that stood for anything once, so that a reader had to look up what each of them held."""
CLEARED = (
    *(f"tradebot/{room}" for room in ("adapters", "app", "desk", "exits", "gates", "judging", "lab", "model")),
    *(f"tradebot/{room}" for room in ("orders", "reconciliation", "replaying", "signals", "strategies", "timetable")),
    *(f"tradebot/{room}" for room in ("venues", "views")),
    *("benchmarks", "commands", "exchange/src/papervenue", "jobs"),
)
"""Folders in which no local has one of the names below either."""
SAY_LITTLE = frozenset({"asked", "given", "held", "kept", "left", "made", "place", "said", "seen", "standing"})


@cache
def definitions(*folders: str) -> list[tuple[str, str, bool, bool]]:
    """Return where each function and public class is defined, its name, and if it is a class and if nested."""
    paths = (
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "_template" not in path.name
    )
    return [
        (str(path.relative_to(ROOT)), name, kind == "class", bool(indented))
        for path in paths
        for indented, kind, name in DEFINITION.findall(path.read_text())
    ]


def is_bare_participle(name: str) -> bool:
    name = name.removeprefix("_")
    return "_" not in name and (name in IRREGULAR or (name.endswith("ed") and name not in NO_PARTICIPLES))


def bare_participles(*, methods: bool) -> Iterator[str]:
    for where, name, is_class, is_method in definitions(*BOT, *EXCHANGE):
        if not is_class and is_method is methods and is_bare_participle(name):
            yield f"{where}:{name}"


def test_no_function_is_named_by_a_bare_participle() -> None:
    assert [*bare_participles(methods=False)] == []


def test_no_method_property_or_inner_function_is_named_by_a_bare_participle() -> None:
    named = [each for each in bare_participles(methods=True) if each.rpartition(":")[2] not in RECORDED | PUBLISHED]
    assert named == []


def locals_named(names: frozenset[str], source: str) -> Iterator[str]:
    """Yield each parameter of such a name, and each name that a function, a loop or a comprehension binds."""
    tree = ast.parse(source)
    fields = {id(node.target) for each in ast.walk(tree) if isinstance(each, ast.ClassDef) for node in each.body
              if isinstance(node, ast.AnnAssign)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg in names:
            yield f"{node.lineno}:{node.arg}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield from [f"{node.lineno}:{node.id}"] * (node.id in names)


def has_retired_word(name: str) -> bool:
    return not RETIRED.isdisjoint(name.split("_")) or name.strip("_") in RETIRED_ALONE


def test_no_class_is_named_by_a_word_that_says_nothing_alone() -> None:
    classes = ((where, name) for where, name, is_class, _ in definitions(*BOT, *EXCHANGE) if is_class)
    assert [f"{where}:{name}" for where, name in classes if name.lower() in SAYS_NOTHING_OF_A_CLASS] == []


def test_no_function_is_named_by_a_retired_word() -> None:
    functions = ((where, name) for where, name, is_class, _ in definitions(*BOT, *EXCHANGE) if not is_class)
    named = [f"{where}:{name}" for where, name in functions if has_retired_word(name)]
    assert [each for each in named if not STAYING & {each, each.rpartition(":")[2]}] == []


@pytest.mark.parametrize(("names", "folders"), [(SAY_NOTHING, (*BOT, *EXCHANGE)), (SAY_LITTLE, CLEARED)])
def test_locals_say_what_they_hold(names: frozenset[str], folders: tuple[str, ...]) -> None:
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    sources = ((path, path.read_text()) for path in paths)
    # Reading a file is cheap beside parsing it.
    bound = re.compile(rf"\b({'|'.join(sorted(names))})\b *(,|:|=|\)| in )")
    suspects = ((path, text) for path, text in sources if bound.search(text))
    assert [f"{path.relative_to(ROOT)}:{each}" for path, text in suspects for each in locals_named(names, text)] == []


@pytest.mark.parametrize("folders", [BOT, EXCHANGE])
def test_public_class_names_are_unique(folders: tuple[str, ...]) -> None:
    names = Counter(name for _, name, is_class, is_nested in definitions(*folders) if is_class and not is_nested)
    assert [name for name, count in names.items() if count > 1] == []


FOLDERS = ("tradebot", "commands", "jobs", "exchange/src")
LONG_STRING = re.compile(r'(^[ \t]*)?"""(.*?)"""', re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([a-z_][a-z0-9_]*)`")
WORD = re.compile(r"[a-z_][a-z0-9_]*")
IMPORT = re.compile(r"^[ \t]*from ([\w.]+) import (\([^)]*|[^(\n]+)", re.MULTILINE)
VERBS = frozenset(chain.from_iterable(verb.split() for verb in listed_verbs.VERBS))
ELSEWHERE = {"json_each", "sqlite_schema", "strerror"}
ELSEWHERE |= {"close", "count", "no", "none", "plain", "secret", "slow_answer", "transmit", "venue_id"}
"""Names of SQLite and of Python, and words of protocols, scripts and files that a module only passes on."""


def docstrings(text: str) -> list[str]:
    """Return the long strings that stand alone in a line or begin one."""
    return [found[2] for found in LONG_STRING.finditer(text) if found[1] is not None]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the lowercase words of a module's code and of the strings in it, without its docstrings."""
    code = LONG_STRING.sub(lambda found: found[0] if found[1] is None else "", path.read_text())
    return frozenset(WORD.findall(code))


@cache
def paths() -> dict[str, Path]:
    """Return the file of each module by its dotted name."""
    files = {path.relative_to(ROOT).with_suffix(""): path for path in modules(*FOLDERS)}
    return {".".join(name.parts).removeprefix("exchange.src.").removesuffix(".__init__"): files[name] for name in files}


def imported_by(text: str) -> frozenset[str]:
    """Return the words of the modules that a module imports."""
    found = (
        name
        for package, names in IMPORT.findall(text)
        for name in (package, *(f"{package}.{each}" for each in re.findall(r"\w+", names)))
    )
    return frozenset().union(*(names_in(paths()[name]) for name in found if name in paths()))


def test_name_in_backticks_exists() -> None:
    of_files = {part for name in paths() for part in name.split(".")}
    left = list[str]()
    for path in modules(*FOLDERS):
        text = path.read_text()
        quoted = set(chain.from_iterable(map(QUOTED.findall, docstrings(text))))
        missing = quoted - names_in(path) - of_files - VERBS - ELSEWHERE
        left += [f"{path.relative_to(ROOT)}: {name}" for name in missing and missing - imported_by(text)]
    assert not left


NAMES = re.compile(r"(?i:new.?york|\bXNYS\b|\bNYSE\b|america/)|\bZoneInfo\(|\bET\b")
ROOMS = ("tradebot", "commands", "jobs", "config")
AT_HOME = ("tradebot/adapters", "tradebot/venues", "exchange/src/papervenue", "tradebot/signals")
"""What knows a venue, a source of flow, or the market that it plays."""

FLOW = "facts of options flow are dated in New York, whatever venue trades on them"
ALLOWANCE = "the flow source counts its calls from 20:00 in New York"
PLAYED = "a backtest plays on the embedded exchange, whose market is New York's"
PLACES: Mapping[str, tuple[int, str]] = {
    "commands/doctor/venue.py": (1, ALLOWANCE),
    "commands/fetch_flow/run.py": (1, ALLOWANCE),
    "config/base.yaml": (1, ALLOWANCE),
    "tradebot/app/facts_replay.py": (2, FLOW),
    "tradebot/lab/backtest/historical_flow.py": (3, FLOW),
    "tradebot/desk/exit_inputs.py": (3, FLOW),
    "tradebot/model/flow.py": (2, FLOW),
    "tradebot/model/fact_kind.py": (4, FLOW),
    "tradebot/lab/backtest/bars.py": (7, PLAYED),
    "tradebot/lab/backtest/lookahead.py": (2, PLAYED),
    "tradebot/model/venue.py": (1, "an example of a calendar's name"),
    "tradebot/model/venue_day.py": (1, "the zone of whatever venue it is"),
    "tradebot/model/notice.py": (1, "quiet hours may name a zone"),
    "tradebot/views/notification_events.py": (1, "quiet hours may name a zone"),
    "commands/bars/import_files.py": (1, "the first bars of a file are shown as New York would date them"),
    "commands/shared/times.py": (3, "no bot is opened yet, and a halt has no time to ask which venue it is"),
    "commands/shared/light_helpers.py": (1, "a time stays on one line with its zone"),
}
"""How many lines of each file name one, and why."""


def test_every_place_that_names_a_zone_or_new_york_is_listed_with_its_reason() -> None:
    assert dict(found()) == {place: lines for place, (lines, _) in PLACES.items()}
    assert len(PLACES) <= 18, "the list only gets shorter"


def found() -> Iterator[tuple[str, int]]:
    """Yield the files that name one, each with how many of its lines do."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in (".py", ".yaml") and not name.startswith(AT_HOME):
                lines = sum(1 for line in path.read_text(encoding="utf-8").splitlines() if NAMES.search(line))
                yield from [(name, lines)] if lines else []


ALLOWED: Mapping[str, str] = {
    "commands/doctor/machine.py": "the version of alpaca-py, which is installed whatever the venue",
    "commands/exchange/__init__.py": "the limit of requests that Alpaca's API has, in the help of an option",
    "commands/exchange/serve.py": "the embedded exchange speaks Alpaca's API, to any client",
    "commands/shared/times.py": "the day that times are shown by before a bot is opened, as a halt does",
    "commands/serve/web_pages.py": "a field of the health page, whose name other programs read",
    "config/backtest.yaml": "a comment: what the costs of a backtest stand for",
    "config/base.yaml": "the venue's own section, and the choice of a venue",
    "config/live.yaml": "the venue's own section",
    "config/paper.yaml": "the venue's own section",
    "config/sandbox.yaml": "the venue's own section",
    "tradebot/lab/backtest/setup.py": "a backtest plays Alpaca on the engine: its feed",
    "tradebot/lab/backtest/recorded_day.py": "a backtest plays Alpaca on the engine: its feed",
    "tradebot/lab/backtest/bars.py": "a backtest plays Alpaca on the engine: its day",
    "tradebot/lab/backtest/order_requests.py": "a backtest plays Alpaca on the engine: what it answers",
    "tradebot/lab/backtest/engine_conversion.py": "a backtest plays Alpaca on the engine: its words for states",
    "tradebot/lab/backtest/venue.py": "a backtest plays Alpaca on the engine: its ends and what it can do",
    "tradebot/app/settings_schema.py": "the venue's own section of the configuration",
}
"""The places outside of the venues, the adapters and the exchange that name Alpaca, each with its reason."""
KRAKEN: Mapping[str, str] = {
    "tradebot/lab/backtest/http_exchange.py": "a backtest reads the charts of Kraken's face without asking for pages",
    "config/venues/kraken_futures.yaml": "what a bot there begins with",
    "config/profiles/smart_money.yaml": "a profile says which venue it is for",
    "config/profiles/smart_money_february.yaml": "a profile says which venue it is for",
}
"""The places that name Kraken Futures."""
INSIDE = ("tradebot/venues/", "tradebot/app/venues.py", "tradebot/adapters/", "exchange/src/papervenue/")


def naming(venue: str) -> set[str]:
    """Return the files of code and configuration that name a venue, without those that are inside."""
    files = [*modules("tradebot", "commands", "jobs"), *(ROOT / "config").rglob("*.yaml")]
    found = {str(file.relative_to(ROOT)) for file in files if venue in file.read_text().lower()}
    return {place for place in found if not place.startswith(INSIDE)}


@pytest.mark.parametrize(("venue", "allowed"), [("alpaca", ALLOWED), ("kraken", KRAKEN)])
def test_no_other_place_names_a_venue(venue: str, allowed: Mapping[str, str]) -> None:
    assert naming(venue) - allowed.keys() == set()


@pytest.mark.parametrize(("venue", "allowed"), [("alpaca", ALLOWED), ("kraken", KRAKEN)])
def test_no_place_stays_on_a_list_that_names_its_venue_no_more(venue: str, allowed: Mapping[str, str]) -> None:
    assert allowed.keys() - naming(venue) == set()


def test_the_core_names_no_venue() -> None:
    shell = ("tradebot/app/", "tradebot/lab/backtest/")
    core = {place for place in ALLOWED if place.startswith("tradebot/") and not place.startswith(shell)}
    assert core == set()
