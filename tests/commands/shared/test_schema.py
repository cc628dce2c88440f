"""`VERB --schema`: every document that a verb prints is what its schema says, and nothing looser."""

import copy
import io
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import requests
from jsonschema_rs import Draft202012Validator, meta

from benchmarks.support.policies import Study, study
from commands.app import program
from commands.drill import stage as stages
from commands.drill.drills import DRILLS, Drill
from commands.drill.stage import Stage
from commands.shared.light_helpers import VERSIONS
from commands.shared.schema import DATA
from papervenue import process
from tests.commands.model.test_model import drafted
from tests.kit.backtest.playing import FEW, bot, configured, traded_by
from tests.kit.bot.folder import Bot, Said, made, order_by_hand, passes_in, second_session
from tests.kit.bot.forked import start
from tests.kit.bot.learning import LearningBot
from tests.kit.bot.real_money import KEYS, at_a_terminal, bent_to, environment, real_folder, spoken
from tests.kit.bot.state import configure
from tests.kit.fakes.networks import Signed, constant
from tests.kit.fakes.receivers import TOKEN, chatting, receiving
from tradebot.__main__ import main
from tradebot.adapters.text.codec import encode

SMALL = "--symbols AAPL --sessions 1"
SEARCHED = 2
"""Lists of a document are cut to this length before every field of it is damaged in turn."""
FREE = frozenset({"value", "value_before", "shipped"})
"""Fields that hold whatever a configuration holds."""


class Printed(NamedTuple):
    """One document, and the command line that printed it."""

    line: str
    document: dict[str, Any]


class Keeper(Bot):
    """A bot that keeps every document that its verbs print."""

    def __init__(self, folder: Path, kept: list[Printed]) -> None:
        self.folder = folder
        self.kept = kept

    def says(self, *arguments: str) -> Said:
        out = said(" ".join([*arguments, *self._place(arguments)]))
        keep(self.kept, " ".join(arguments), out)
        document = json.loads(out.splitlines()[-1])
        return Said(document["exit_code"] if "data" in document else document["error"]["code"], out, "")

    def all_say(self, *lines: str) -> None:
        for line in lines:
            self.says(*line.split())


def keep(kept: list[Printed], line: str, out: str) -> None:
    kept += [Printed(line, json.loads(text)) for text in out.splitlines()]


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    for name, found in getattr(command, "commands", {}).items():
        yield from verbs(found, (*words, name)) if hasattr(found, "commands") else [" ".join((*words, name))]


VERBS = tuple(verbs(program()))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[Printed]:
    """Return what every verb prints over the life of one small bot, refusals, findings and errors among it."""
    kept: list[Printed] = []
    place = tmp_path_factory.mktemp("schema")
    served = f"exchange serve --state-dir {place / 'served'} {SMALL}"
    day = "2026-11-16,AAPL,100,101,99,100,1000"
    (place / "days.csv").write_text(f"ts,symbol,open,high,low,close,volume\n{day}\n{day}\n")
    minutes = (f"2026-11-13 {14 + at // 60}:{at % 60:02},SPY,1,1,1,1,1\n" for at in range(390))
    (place / "minutes.csv").write_text("".join(["ts,symbol,open,high,low,close,volume\n", *minutes]))
    (place / "lines").write_text('{"symbol": "AAPL", "side": "buy", "score": 0.6}\nnonsense\n')
    with ExitStack() as stack:
        folder = stack.enter_context(made(place / "state"))
        bot = Keeper(folder, kept)
        lines = (*(f"{verb} --state-dir {folder}" for verb in ("events -f", "mcp --http 0", "web --port 0")), served)
        beside = {line: stack.enter_context(running(line)) for line in lines}
        session(bot, place / "lines")
        bot.all_say("config show", "config check", "config show nonsense", "config diff")
        bot.all_say("config set limits.cooldown_s 90 --dry-run", "config set limits.nonsense 1")
        bot.all_say("strategy list", "strategy test flow", "strategy test nonsense")
        bot.all_say("upgrade --check", "upgrade", "deploy verify")
        bot.all_say("config accept", f"config accept --confirm {bot.tail()}")
        exchange(bot)
        bars(bot, place)
        notices(bot)
        approvals(bot)
        bot.all_say("registry", "registry AAPL", "registry --refresh")
        chat(bot)
        drills(bot)
        real_money(bot, place / "real")
        bot.all_say("flatten --all --dry-run", "flatten --all --confirm ALL", "halt --flatten --confirm FLATTEN")
        orders = bot.says("orders").data["orders"]
        bot.all_say("cancel nonsense", *(f"cancel {row['client_order_id']} --dry-run" for row in orders))
        bot.all_say("status", "audit", "unhalt", f"unhalt --confirm {bot.tail()}")
        bot.all_say("exchange tick close", "serve --speed 1000000")
        damaged(bot)
        for line, program in beside.items():
            assert program.stdout is not None
            keep(kept, line, program.stdout.readline())
    for line in (
        f"top --bots {folder} {place / 'nowhere'}",
        "completion bash",
        "completion nonsense",
        f"strategy new mine --path {place / 'mine'}",
        *signing(place),
    ):
        keep(kept, line, said(line))
    walks(kept, place)
    (place / "learning").mkdir()
    learning = LearningBot(place / "learning", None, date(2026, 8, 31))
    line = f"retire policy --confirm SBX1 --state-dir {learning.folder}"
    keep(kept, line, said(line))
    (place / "judged").mkdir()
    line = judging(place / "judged")
    keep(kept, line, said(line))
    backtests(kept, place)
    for verb in ("init", "demo --minutes 1"):
        state = place / verb.split()[0]
        line = f"{verb} --state-dir {state} {SMALL}"
        try:
            keep(kept, line, said(line))
        finally:
            process.stop(state / "exchange")
    return kept


def backtests(kept: list[Printed], place: Path) -> None:
    """Play a backtest twice and a variant, compare, and look for look-ahead; a name that is taken is refused."""
    file, at = configured(place), f"--state-dir {place / 'backtests'}"
    play = f"backtest --sessions 1 --config {file} {at}"
    with traded_by():
        for more in ("--name one --check-lookahead --cuts 1 --sensitivity", "--name two --seed 8", "--name two"):
            line = f"{play} {more}"
            keep(kept, line, said(line))
    keep(kept, f"compare one two {at}", said(f"compare one two {at}"))
    search = f"search {' '.join(bot(place / 'searched', 75, space=FEW.replace('trials: 3', 'trials: 2')))} --workers 1"
    for line in (search, search, f"{search} --check"):
        keep(kept, line, said(line))


def said(line: str) -> str:
    before, out = signal.getsignal(signal.SIGTERM), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            main([*line.split(), "--json"])
    finally:
        signal.signal(signal.SIGTERM, before)
    return out.getvalue()


@contextmanager
def running(line: str) -> Iterator["subprocess.Popen[str]"]:
    program = start([*line.split(), "--json"])
    try:
        yield program
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=120)


def signing(place: Path) -> tuple[str, ...]:
    """Return lines that make keys and sign a model with them."""
    draft, key = drafted(place / "draft"), place / "key"
    lines = f"model key {key}", f"model key {key}", f"model sign {draft} --key {key} --to {place / 'models'}"
    market = "--agent logistic --profile futures --symbol MES --sessions 2"
    trained = f"learn policy train {market} --drafts {place / 'drafts'} --state-dir {place / 'learned'}"
    return *lines, trained


def judging(place: Path) -> str:
    """Return a line that judges a signed model in a session, asked a few times."""
    models = Signed(place)
    policy = {"allotment_fraction": 1, "exits": [], "times": "every 240m from open+5m until close"}
    policy |= models.settings(models.write(constant([0.5])), results=str(place / "results.json"))
    configuration = {
        "venue": "ibkr",
        "universe": ["MES"],
        "sectors": {"MES": "indexes"},
        "strategies": {"flow": None, "futures": None, "policy": policy},
    }
    (place / "judge.yaml").write_text(json.dumps(configuration))
    days = "--from 2026-11-16 --to 2026-11-16"
    return f"learn policy judge {days} --config {place / 'judge.yaml'} --state-dir {place / 'learned'}"


def walks(kept: list[Printed], place: Path) -> None:
    """Walk forward, but for the playing, which takes long."""
    found = study(1, Study(configurations=2))
    market = "--agent logistic --profile futures --symbol MES --from 2025-12-15 --to 2027-01-05"
    options = f"{market} --key {place / 'key'} --results {place / 'walks'} --state-dir {place / 'learned'}"
    line = f"learn policy walk {options}"
    with patch("commands.learn.policy.train.run_tasks", return_value=found):
        keep(kept, line, said(line))
    space = place / "policies.yaml"
    space.write_text("settings: {c: [0.5, 1.0]}\nsampler: grid")
    line = f"learn policy study {options} --space {space}"
    with patch("tradebot.lab.learning.walking.study.run_tasks", return_value=found):
        keep(kept, line, said(line))


def session(bot: Keeper, lines: Path) -> None:
    """Trade from nothing known to positions held, asking everything that only looks, before and after."""
    looks = (
        "status",
        "summary",
        "health",
        "positions",
        "orders --all",
        "fills",
        "trades",
        "pnl",
        "events",
        "tail",
        "top",
        "audit",
        "doctor --offline",
        "why-no-orders",
    )
    bot.all_say(*looks, "fetch-flow --plan", "fetch-flow", "trade-once")
    second_session(bot)
    bot.all_say("signals", "fetch-flow --plan", "score --from 2026-11-17", "score --from nonsense")
    bot.all_say(
        "score",
        "score --explain AAPL",
        "score --variants",
        "trade-once --dry-run",
        "trade-once",
        "trade-once",
        "evaluate-exits",
    )
    bot.all_say("score --outcomes", "score --diff previous last", "score --diff nothing last", "score --since nonsense")
    bot.all_say(f"export --to {bot.folder.parent}/books.db", "export --to redis://nonsense")
    bot.all_say("promote", "promote flow", "promote nothing", "promote flow --to candidate", "demote", "shadow")
    bot.all_say("model check")
    results = lines.with_name("results.json")
    results.write_text(json.dumps(encode(study(1, Study(configurations=2)))))
    bot.all_say(f"promote --results {results}", "promote --results nowhere.json")
    bot.all_say("parity 2026-11-17", "schedule check", "schedule run backup", "schedule run nonsense")
    order_by_hand(bot.url, "MSFT", "3", "by-hand-1")
    bot.all_say(f"trade-once --candidates {lines}", "fetch-flow", "evaluate-exits", "exchange tick 2m")
    bot.all_say("fetch-flow --stream --for 1s")
    bot.all_say("reconcile", "adopt MSFT", "adopt MSFT --manage --confirm MSFT", "evaluate-exits --force-slot")
    bot.all_say("report", "report --from nonsense", "report a b c", "learn", "learn --strategy nonsense")
    bot.all_say(
        "trades",
        "trades --lots",
        "trades --swaps",
        "trades note MSFT seen",
        "trades note NOPE seen",
        "trades --tax 2026",
    )
    bot.all_say(
        *looks, "why-no-orders AAPL", "why-no-orders --reason SLOT_TAKEN", "why-no-orders --reason SCORE_BELOW_MIN"
    )
    bot.all_say(
        "replay",
        "replay 2020-01-01",
        f"incident {passes_in(bot.folder)[-1]} --out {lines.with_name('incident.txt')}",
        f"replay {lines.with_name('incident.txt')}",
        f"incident nonsense --out {lines.with_name('incident.txt')}",
        "why-no-orders NOPE",
        "why-no-orders --what-if limits.min_score=0.3 --at 10:00",
        "why-no-orders --what-if limits.min_score=0.3 --since 1d",
        "why-no-orders --what-if nonsense",
        "schedule --next 5",
        "adopt NOPE",
        "orders --nonsense",
        "halt --nonsense",
    )


def exchange(bot: Keeper) -> None:
    requests.post(f"{bot.url}/exchange/v1/accounts", json={"name": "alice", "cash": 5000}, timeout=60)
    bot.all_say("exchange faults add rate-limited", "exchange faults", "exchange faults clear", "exchange faults ready")
    bot.all_say("exchange status", "exchange page", "exchange reset alice --confirm alice", "exchange reset nobody")


def bars(bot: Keeper, place: Path) -> None:
    bot.all_say("bars list", "bars check", "bars fetch", "bars fetch AAPL --timeframe 1Min --from 2026-11-13")
    bot.all_say(f"bars import {place / 'days.csv'} --timeframe 1Day", "bars list", "bars check AAPL MSFT")
    bot.all_say(f"bars import {place / 'minutes.csv'} --timeframe 1Min --stamp start --zone America/New_York")


def notices(bot: Keeper) -> None:
    """Ask without a channel, then tell one on this machine."""
    bot.all_say("notify list", "notify last", "notify test", "notify send", "drill list", "drill run nonsense")
    with receiving() as receiver, environment({"NOTIFY_PHONE": f"http://{receiver.address}/hook"}):
        with (bot.folder / "tradebot.yaml").open("a") as file:
            file.write("\nnotify: {channels: {phone: {}, desk: {}}}\n")
        bot.all_say("notify list", "notify test", "notify test nope", "notify send")
        place = bot.folder.parent / "watch"
        place.mkdir()
        (place / "watchdog.yaml").write_text(f"channels: [phone]\nbots: {{main: {bot.folder}, other: {place}}}\n")
        for line in ("watchdog --once --folder nowhere", f"watchdog --once --folder {place}"):
            keep(bot.kept, line, said(line))
        bot.all_say("halt", f"unhalt --confirm {bot.tail()}", "notify send", "notify last", "notify list")


def chat(bot: Keeper) -> None:
    """Ask for a chat that is off, then pair with one on this machine, ask it something, and end that."""
    bot.all_say("chat status", "chat pair", "chat listen --once", "chat revoke")
    with chatting() as fake, environment({"CHAT_TELEGRAM_TOKEN": TOKEN}):
        configure(bot.folder, f"\nchat: {{telegram: {{url: '{fake.address}'}}}}\n")
        bot.all_say("chat pair", "chat status")
        fake.updates = [fake.typed(bot.kept[-2].document["data"]["code"]), fake.typed("unhalt")]
        bot.all_say("chat listen --once", "chat status")
        fake.raw = [(500, b"")]
        bot.all_say("chat listen --once", "chat status", "chat revoke")


def approvals(bot: Keeper) -> None:
    """Ask when nobody was ever asked, then answer what waits half an hour and an hour later."""
    bot.all_say("approvals", "approve aapl-k3f7q")
    configure(bot.folder, "\napproval: {wait_s: 300}\n")
    for verb in ("approve", "reject"):
        bot.all_say("exchange tick 65m", "fetch-flow", "reconcile", "trade-once --force-slot", "approvals")
        (name, *_) = [row["id"] for row in bot.kept[-1].document["data"]["approvals"]]
        bot.all_say(f"{verb} {name}", "approvals --last 9")


def drills(bot: Keeper) -> None:
    """Say how a drill went whose stage is no real one."""

    @contextmanager
    def quick(folder: Path) -> Iterator[Stage]:
        yield Stage(folder, [], "")

    drill = Drill(
        "halt", "A person halts the bot.", lambda stage: stage.check("it halts", is_met=True, observed="at once")
    )
    with patch.object(stages, "set_stage", quick), patch.dict(DRILLS, halt=drill):
        bot.all_say("drill run halt", "drill list")


def damaged(bot: Keeper) -> None:
    """Copy the books, damage them, and get them back both ways, refusals among it."""
    (place := bot.folder.parent / "archived").mkdir()
    pushed = f"archive push backups/journal {bot.folder}/journal.jsonl --to {place}"
    bot.all_say(pushed, "archive push nonsense journal.jsonl --to nowhere")
    for line in (f"archive list --from {place}", f"archive fetch backups/journal {place}/back --from {place}"):
        keep(bot.kept, line, said(line))
    bot.all_say("backup", "backup --list", "journal verify", "journal verify nonsense", "recover", "restore nonsense")
    (copied,) = (path.name for path in (bot.folder / "backups").glob("*-by-hand"))
    bot.all_say(f"restore {copied}", f"restore {copied} --confirm {bot.tail()}", "recover")
    chain = bot.folder / "journal.jsonl"
    chain.write_bytes(chain.read_bytes().replace(b'"promised"', b'"Promised"', 1))
    bot.all_say("journal verify", "recover")
    (name,) = {path.stem for path in (bot.folder / "quarantine").glob("rebuilt-*.json")} - {
        each.document["data"]["name"] for each in of("restore", bot.kept) if "data" in each.document
    }
    bot.all_say(f"recover --accept {name}", f"recover --accept {name} --confirm {bot.tail()}")


def real_money(bot: Keeper, folder: Path) -> None:
    """Arm a bot of real money whose account is that of the exchange, and ask what it takes, with and without."""
    real = Keeper(real_folder(bot.folder, folder), bot.kept)
    bot.all_say("live status", "live arm")
    with bent_to(bot.url), environment({**KEYS, **spoken(real.tail())}):
        for typed in (real.tail(), "another"):
            with at_a_terminal(typed):
                real.all_say("live status", "live arm")
        with environment({"DRY_RUN": "yes"}):
            real.all_say("live status", "status")
        copy = Keeper(shutil.copytree(real.folder, folder.with_name("copy")), bot.kept)
        for typed in ("another", real.tail()):
            with at_a_terminal(typed):
                copy.all_say("live take-over")


@pytest.fixture
def schema(verb: str, capsys: pytest.CaptureFixture[str], here: Path) -> Any:
    """Return a verb's schema, asked for where there is no bot."""
    assert main([*verb.split(), "--schema"]) == 0
    said = capsys.readouterr()
    assert (said.err, list(here.iterdir())) == ("", [])
    return json.loads(said.out)


def of(verb: str, printed: list[Printed]) -> list[Printed]:
    def is_of(line: str) -> bool:
        # The first words of a verb of several may be a verb too.
        return max((one for one in VERBS if f"{line} ".startswith(f"{one} ")), key=len, default="") == verb

    return [each for each in printed if is_of(each.line)]


@pytest.mark.parametrize("verb", VERBS)
def test_documents_match_their_schema(verb: str, schema: Any, printed: list[Printed]) -> None:
    meta.validate(schema)
    validator, found = Draft202012Validator(schema), of(verb, printed)
    assert {each.document["schema"] for each in found} - {"tradebot.error/1"}
    for line, document in found:
        assert [error.message for error in validator.iter_errors(document)] == [], line


@pytest.mark.parametrize("verb", VERBS)
def test_schema_refuses_a_missing_odd_or_extra_field(verb: str, schema: Any, printed: list[Printed]) -> None:
    validator = Draft202012Validator(schema)
    records = {frozenset(each["properties"]) for each in schema["$defs"].values() if "properties" in each}
    newest = {shape_of(document): document for _, document in of(verb, printed)}
    for document in map(short, newest.values()):
        assert validator.is_valid(document)
        for what, damaged in damages(document, records):
            assert not validator.is_valid(damaged), what


def shape_of(document: Any) -> str:
    """Return what kind of document this is: its name and the names in its data."""
    return f"{document['schema']} {sorted(document.get('data', ()))}"


def short(value: Any) -> Any:
    if isinstance(value, list):
        return [short(item) for item in value[:SEARCHED]]
    return {key: short(item) for key, item in value.items()} if isinstance(value, dict) else value


def damages(document: Any, records: set[frozenset[str]]) -> Iterator[tuple[str, Any]]:
    """Yield the document with one field of a record dropped, of another type, or one field more, each in turn."""
    done = set[frozenset[str]]()
    for path, found in nodes(document):
        names = frozenset(found)
        if names in done or (path[:1] == ("data",) and names not in records):
            # One of each kind is enough, and counts by name are no record.
            continue
        done.add(names)
        for name in [*found, "one_more"]:
            dropped, odd = copy.deepcopy(document), copy.deepcopy(document)
            at(dropped, path).pop(name, None)
            at(odd, path)[name] = [[["odd"]]]
            if name in found:
                yield f"{path} without {name}", dropped
            if name not in FREE:
                yield f"{path} with an odd {name}", odd


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def test_schema_tests_see_every_kind_of_document(printed: list[Printed]) -> None:
    seen = {each.document["schema"] for each in printed}
    assert seen == {f"tradebot.{name}/{VERSIONS.get(name, 1)}" for name in [*DATA, "error"]}
    assert {verb.replace(" ", "-") for verb in VERBS} <= DATA.keys()
    refused = {each.line.split()[0] for each in printed if "remedy" in each.document.get("data", ())}
    assert refused >= {"fetch-flow", "trade-once", "evaluate-exits"}
