"""`tradebot incident`: all that is known of a pass in one file, nothing private in it, and decided again anywhere."""

import json
import platform
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, cast, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from commands.incident.gather import EQUAL, hidden_id, pack_pass, redact_record
from commands.replay.report import decided_again_from
from commands.shared.verb_options import jsonable
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, Said, typed
from tests.kit.bot.state import configure
from tests.kit.core.recorded import AROUND, Taken, entries, evaluate_exits, lost_reply
from tests.kit.core.scene import Scene, call
from tests.kit.values import ACCOUNT, DAY, NOW
from tests.suite.tiers import sized
from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses
from tradebot.adapters.state.incident_file import AGAIN, content_of, parts_of
from tradebot.adapters.text.codec import encode
from tradebot.adapters.text.handed_over import IdentityRedactor
from tradebot.errors import OperatorError
from tradebot.gates import entry
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import SystemEvent
from tradebot.model.intent import Intent, IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.passes import SCHEMA, CycleInputs, _shapes, bytes_of, decide_again, questions, read_record
from tradebot.replaying.port_recording import OrderedReplies, RecordedPorts
from tradebot.replaying.record_json import OUTCOME, TOLD, record_from_json, record_to_json
from tradebot.replaying.record_writer import (
    GIVEN,
    NEVER,
    PartCache,
    RecordError,
    RecordParts,
    encode_steps,
    hints_of,
    is_mapping,
    is_named_tuple,
    is_struct,
    is_union,
    is_word,
    items_of,
    name_of,
    reply_hint,
    step_for,
    without_none,
)

HOST, KEY = "canary-machine-7", "PK" + "CANARY7Q4WZ8X2M5T1"
PRIVATE = {
    "a key": KEY,
    "an address": "https://hooks.slack.example.com/services/T00/B00/canary",
    "an e-mail address": "canary.person@mail.example.com",
    "a home path": "/home/" + "canary/bot/.env",
    "a host": HOST,
    "an IP address": "10.27.33.41",
    "a password": "password=canary-pass",
}
CANARY = " | ".join(PRIVATE.values())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the file of an incident is, once it was made."""
    return tmp_path_factory.mktemp("kept")


def _last_order(bot: Bot) -> str:
    return str(bot.json("orders", "--all")["orders"][-1]["client_order_id"])


def _account(bot: Bot) -> str:
    return str(json.loads((bot.folder / "state.id").read_text())["account_number"])


@pytest.fixture
def order(shared_trader: Bot, kept: Path) -> tuple[Bot, str]:
    """Return a bot after a pass of entries, and the id of one of its orders."""
    if not (kept / "facts").exists():
        assert shared_trader.json("trade-once")["orders"] > 0
        (kept / "facts").touch()
    return shared_trader, _last_order(shared_trader)


@pytest.fixture
def packed(order: tuple[Bot, str], kept: Path) -> Path:
    """Return the file of an order's incident."""
    file = kept / "packed.txt"
    if not file.exists():
        order[0].json("incident", order[1], "--out", str(file))
    return file


def _alone(capture: pytest.CaptureFixture[str], *line: str) -> Said:
    return typed(capture, *line)


def test_order_is_packed_and_its_pass_decided_again_without_the_bot(
    order: tuple[Bot, str], kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    bot, name = order
    file, other = kept / "incident.txt", tmp_path / "again.txt"
    data = bot.json("incident", name, "--out", str(file))
    said = bot.says("incident", data["pass_id"], "--out", str(other))
    assert said.out.splitlines()[0].startswith(f"{other}: pass trade-once.")
    assert "every decision came out the same; the file can be replayed on any machine" in " ".join(said.out.split())
    assert (data["replay"], data["order"], data["lacking"]) == ("equal", name, [])
    assert data["sha256"] == sha256(file.read_bytes()).hexdigest()
    assert {one["name"] for one in data["parts"]} >= {"about", "pass", "decisions", "orders", "journal", "events"}
    there = other.read_bytes()
    refuses(bot.says("incident", name, "--out", str(other)), 2, "exists already", "--force")
    assert other.read_bytes() == there
    bot.json("incident", name, "--out", str(other), "--force")
    assert other.read_bytes() == file.read_bytes()
    shown = bot.says("incident", name, "--out", "-")
    assert (shown.code, shown.out.encode(), Path("-").exists()) == (0, file.read_bytes(), False)
    assert shown.err.startswith("Keys, account numbers, hosts, addresses and home paths are hidden.")
    assert parts_of(file)["about"]["versions"]["forms"] == {"journal": 2, "ledger": 3, "record of a pass": 2}
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADEBOT_STATE", raising=False)
    found = _alone(capsys, "replay", str(file), "--json").data
    assert (found["passes"], found["equal"], found["decisions"] > 0) == (1, 1, True)
    assert sorted(tmp_path.iterdir()) == [other], "nothing was written"
    text = file.read_text()
    assert not [one for one in (_account(bot), name, str(bot.folder)) if one in text]
    # Four digits stand in some digest by chance.
    assert not re.search(rf"(?<!\w){_account(bot)[-4:]}(?!\w)", text)
    assert "ACCOUNT-HIDDEN" in text


def test_pass_without_a_record_packs_the_rest_and_says_so(
    order: tuple[Bot, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bot, name = order
    passes, file = bot.folder / "passes.db", tmp_path / "incident.txt"
    shutil.copy(passes, tmp_path / "passes.db")
    with closing(sqlite3.connect(passes)) as database, database:
        database.execute("DELETE FROM passes")
    data = bot.json("incident", name, "--out", str(file))
    shutil.copy(tmp_path / "passes.db", passes)
    assert (data["replay"], "its record isn't stored" in data["why"]) == ("none", True)
    assert {one["name"] for one in data["parts"]} >= {"about", "settings", "decisions", "orders", "journal"}
    said = _alone(capsys, "replay", str(file))
    assert (said.code, "can't be decided again: its record isn't stored" in " ".join(said.err.split())) == (2, True)


def test_unknown_name_and_a_file_in_the_bots_folder_are_refused(order: tuple[Bot, str], tmp_path: Path) -> None:
    bot, name = order
    said = bot.says("incident", "nonsense", "--out", str(tmp_path / "x.txt"))
    assert (said.code, "No pass or order has the id nonsense." in said.err) == (2, True)
    assert bot.says("incident", name, "--out", str(bot.folder / "x.txt")).code == 2
    assert not list(tmp_path.iterdir())


def test_the_file_has_nothing_private(order: tuple[Bot, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bot, name = order
    monkeypatch.setattr(platform, "node", lambda: HOST)
    secret = "Zq/canary+secret/9" * 2
    monkeypatch.setenv("APCA_API_SECRET_KEY", secret)
    monkeypatch.setenv("NOTIFY_PHONE", "json://hidden-canary-hook.example.com/abcdefgh1234")
    monkeypatch.setenv("MY_OWN_TOKEN", "my-own-canary-token")
    planted = f"{CANARY} | {secret} | hidden-canary-hook | my-own-canary-token | {_account(bot)}"
    at = bot.json("orders", "--all")["orders"][-1]["at"]
    event = {"timestamp": at.replace("Z", ".000000Z"), "subsystem": planted, "event_type": planted, "severity": "WARN"}
    with (bot.folder / "system_events.jsonl").open("a") as file:
        file.write(
            json.dumps({**event, "symbol": planted, "details": {planted: planted, "token": "plain-canary"}}) + "\n"
        )
    line = {"timestamp": at, "trading_time": at, "message": planted, planted: [planted, {"password": "plain-canary"}]}
    (bot.folder / "serve.log").write_text(json.dumps(line) + "\n")
    out = tmp_path / "incident.txt"
    assert bot.json("incident", name, "--out", str(out))["replay"] == "equal"
    parts = parts_of(out)
    assert {"log", "events"} <= parts.keys()
    assert "[hidden]" in json.dumps(parts["log"])
    text = out.read_text()
    assert [text[max(0, at - 60) : at + 30] for at in range(len(text)) if text[at : at + 6].lower() == "canary"] == []
    assert not [what for what, one in PRIVATE.items() if one in text]
    assert _account(bot) not in text


def test_nothing_private_of_the_settings_is_in_the_file_and_the_pass_is_decided_as_it_was(
    trader: Bot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: HOST)
    host, home = f"bots.{HOST}.example.com", "/home/" + "canary"
    private = {
        "health": {"hosts": [host, f"{HOST}.local"]},
        "storage": {"backup_to": f"{home}/backups"},
        "chat": {"telegram": {"url": f"https://{host}"}},
        "sectors": {"AAPL": f"of {HOST}", "MSFT": f"see {home}/sectors.csv", "NVDA": KEY, "AMZN": _account(trader)},
        "themes": {"AAPL": "canary.person@mail.example.com"},
    }  # fmt: skip
    configure(trader.folder, "".join(f"{name}: {json.dumps(value)}\n" for name, value in private.items()))
    assert trader.json("trade-once", "--force-slot")["orders"] > 0
    out = tmp_path / "incident.txt"
    assert trader.json("incident", _last_order(trader), "--out", str(out))["replay"] == "equal"
    text = out.read_text()
    assert [text[max(0, at - 60) : at + 30] for at in range(len(text)) if text[at : at + 6].lower() == "canary"] == []
    assert _account(trader) not in text
    found = _alone(capsys, "replay", str(out), "--json").data
    assert (found["passes"], found["equal"]) == (1, 1)


def test_damaged_byte_is_told_by_its_part(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = packed.read_bytes()
    place = content.index(b'"in_order"')
    file = tmp_path / "incident.txt"
    file.write_bytes(content[:place] + b"'" + content[place + 1 :])
    said = _alone(capsys, "replay", str(file))
    assert (said.code, said.out) == (2, "")
    assert "is damaged: its part 'pass' was changed." in " ".join(said.err.split())
    file.write_bytes(content[:100] + b"'" + content[101:])
    assert "its list of parts was changed" in " ".join(_alone(capsys, "replay", str(file)).err.split())


def test_file_that_is_not_there_or_no_file_is_told_with_what_to_name_instead(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _alone(capsys, "replay", "nothere.txt")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: There is no file nothere.txt.")
    assert "tradebot replay 2026-11-16" in said.err
    refuses(_alone(capsys, "replay", str(here)), 2, "it is a folder", "name a regular file")


def test_pass_that_is_decided_otherwise_here_is_packed_and_differs_in_the_same_place_from_its_file(
    order: tuple[Bot, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, name = order

    def refused(gate: Gate, passed: bool, reason: Reason, *numbers: Any) -> Decision:
        return Decision(gate, Verdict.FAIL, reason, *numbers)

    file = tmp_path / "incident.txt"
    with monkeypatch.context() as patch:
        patch.setattr(entry, "answer", refused)
        data = bot.json("incident", name, "--out", str(file))
        assert (data["replay"], "PASS, now FAIL" in data["why"]) == ("differs", True)
        there = _alone(capsys, "replay", str(file), "--json")
        first = there.data["first"][0]
        assert (there.code, first["recorded"], first["replayed"]) == (10, "PASS", "FAIL")
    part = parts_of(file)["pass"]
    assert part["in_order"], "questions are answered in their order, because their texts are hidden"
    assert {one[1]["$bytes"] for one in part["record"]["body"][TOLD][0]} == {""}, "no digest of what was asked"
    found = _alone(capsys, "replay", str(file), "--json").data
    assert (found["passes"], found["equal"]) == (1, 1), "the program that recorded it decides as it did"


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$bytes", "$at", "$map", "a"]), inner, max_size=2)
), max_leaves=6)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    return [path, *(place for name, item in items for place in _places(item, (*path, name)))]


@cache
def _whole(file: Path) -> tuple[str, list[tuple[Any, ...]]]:
    parts = parts_of(file)
    return json.dumps(parts), _places(parts["pass"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_hostile_file_is_refused_without_a_trace(packed: Path, data: st.DataObject) -> None:
    text, places = _whole(packed)
    parts = json.loads(text)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places[1:]))
        inner = parts["pass"]
        try:
            for step in path:
                inner = inner[step]
            inner[last] = data.draw(JSON)
        except (LookupError, TypeError):
            continue
    file = packed.with_name("hostile.txt")
    file.write_bytes(content_of(parts))
    with suppress(OperatorError):
        assert decided_again_from(file, None).passes == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_file_of_other_bytes_is_refused(packed: Path, data: st.DataObject) -> None:
    content = packed.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 200))
    cut = data.draw(st.integers(0, 3))
    other = content[:place] + data.draw(st.binary(max_size=3)) + content[place + cut :]
    file = packed.with_name("other.txt")
    file.write_bytes(other)
    if other != content:
        with pytest.raises(OperatorError):
            parts_of(file)


def test_bombs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bomb.txt"
    deep = b"[" * 100_000
    head = json.dumps({"parts": [{"name": "pass", "bytes": len(deep), "sha256": sha256(deep).hexdigest()}]}).encode()
    file.write_bytes(b"tradebot-incident/1 " + sha256(head).hexdigest().encode() + b"\n" + head + b"\n" + deep + b"\n")
    said = _alone(capsys, "replay", str(file))
    assert (said.code, "isn't JSON, or is nested too deeply." in " ".join(said.err.split())) == (2, True)
    file.write_bytes(content_of({str(number): 1 for number in range(17)}))
    assert "more than 16 parts" in " ".join(_alone(capsys, "replay", str(file)).err.split())
    with file.open("wb") as big:
        big.truncate(65_000_000)
    said = _alone(capsys, "replay", str(file))
    assert (said.code, "is larger than 64 MB" in said.err) == (2, True)
    assert AGAIN.split(",")[0] in " ".join(said.err.split())


USER, FOLDER = "canaryuser", "/srv/canary-bots/state"
OF_A_PASS = {
    "a key": "PK" + "CANARY7Q4WZ8X2M5T1",
    "a password": "password=canary-pass",
    "the account": ACCOUNT,
    "the host": HOST,
    "a home path": "/home/" + "canary/bot/.env",
    "the folder": FOLDER,
    "the user": USER,
}
PASS_CANARY = " | ".join(OF_A_PASS.values())


def _replies() -> Iterator[tuple[str, Any]]:
    """Yield what a pass can ask, with the type of the reply; no pass asks a port for what no record can have."""
    for name in questions():
        with suppress(TypeError):
            step_for(reply_hint(name))
            yield name, reply_hint(name)


REPLIES = dict(_replies())
ONE = KeptPass("trade-once.1", DAY, NOW, "1.0")


def redactor(intents: Sequence[Intent]) -> IdentityRedactor:
    ids = dict[str, str]()
    found = IdentityRedactor(ACCOUNT, FOLDER, {HOST: "host", USER: "someone"}, ids=ids, salt="s")
    ids.update((one.client_order_id, hidden_id(one.key, found.once)) for one in intents)
    return found


def private_in(text: str) -> list[str]:
    found = [what for what, one in OF_A_PASS.items() if json.dumps(one)[1:-1] in text]
    return found + (["some canary"] if "canary" in text.lower() else [])


class Texts:
    """Makes a value of any type that a record has, with canaries in every text; `places` are the fields they are in."""

    def __init__(self) -> None:
        self.places, self.number, self._within = set[str](), 0, list[Any]()

    def of(self, hint: Any, place: str = "") -> Any:
        hint = without_none(hint)
        if is_union(hint):
            hint = str if str in get_args(hint) else without_none(get_args(hint)[0])
        if hint is str:
            self.places.add(place)
            self.number += 1
            return f"{self.number} {PASS_CANARY}"
        if hint in PLAIN:
            return PLAIN[hint]
        if hint in (*GIVEN, *NEVER):
            return None
        if is_word(hint):
            return next(iter(hint))
        if is_struct(hint) or is_named_tuple(hint):
            return self._made(hint)
        if is_mapping(hint):
            key, item = get_args(hint)
            return {self.of(key, place): self.of(item, place)}
        if many := items_of(hint):
            return many[0]([self.of(many[1], place)])
        return tuple([self.of(one, place) for one in get_args(hint)])

    def _made(self, kind: Any) -> Any:
        if kind in self._within:
            return None
        self._within.append(kind)
        made = kind(**{name: self.of(hint, f"{name_of(kind)}.{name}") for name, hint in hints_of(kind).items()})
        self._within.pop()
        return made


PLAIN: Mapping[Any, Any] = {
    int: 1, float: 1.0, bool: True, bytes: b"", Decimal: Decimal(1), datetime: NOW, date: DAY, time: time(9, 30),
    timedelta: timedelta(1), NoneType: None,
}  # fmt: skip


def places_in(*hints: Any) -> Iterator[str]:
    """Yield each field of the types below these that can hold a text."""
    seen, left = set[Any](), [(hint, "") for hint in hints]
    while left:
        hint, place = left.pop()
        hint = without_none(hint)
        if hint is str:
            yield place
        if is_struct(hint) or is_named_tuple(hint):
            if hint not in seen:
                seen.add(hint)
                left += [(one, f"{name_of(hint)}.{name}") for name, one in hints_of(hint).items()]
        else:
            left += [(one, place) for one in get_args(hint) if one is not ... and not isinstance(one, list)]


def test_no_text_that_a_record_can_hold_keeps_anything_private() -> None:
    texts, parts = Texts(), RecordParts(PartCache())
    told = [[name, b"", [texts.of(str)], step_for(hint)(texts.of(hint), parts)] for name, hint in REPLIES.items()]
    told.append(["ledger.order", b"", [], None, "TemporaryError", texts.of(str), texts.of(str)])
    settings = json.dumps({"any": PASS_CANARY, PASS_CANARY: [PASS_CANARY, {"own_token": "plain-canary"}]}).encode()
    head = [SCHEMA, parts.text(_shapes()), parts.text(settings), parts.text(settings), [texts.of(str)], texts.of(str)]
    given = step_for(CycleInputs)(texts.of(CycleInputs), parts)
    body = encode_steps([*head, given, [told, {"ledger.account_number": ACCOUNT}], bytes_of(texts.of(CycleRecord))])
    assert texts.places - {""} == set(places_in(CycleInputs, CycleRecord, *REPLIES.values())) - {""}
    assert len(texts.places) > 150
    contents = [parts.remembered.content[one] for one in parts.numbers]
    before = json.dumps(record_to_json(body, contents), ensure_ascii=False)
    assert before.count(HOST) >= texts.number, "each of them was in the record"
    tree = redact_record(record_to_json(body, contents), redactor([]))
    assert private_in(json.dumps(tree, ensure_ascii=False)) == []
    read_record(*record_from_json(json.loads(json.dumps(tree))), {})


def stopped(scene: Scene) -> list[Taken]:
    """A position is closed by its stop."""
    first = entries(scene)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "book"))
    scene.later(60)
    scene.price("AAPL", "50")
    return [*first, evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "stop"))]


def test_nothing_else_that_is_packed_keeps_anything_private() -> None:
    for kind in (SystemEvent, CycleRecord, IntentRecord, Order, OwnedFill):
        texts = Texts()
        for tree in (encode(texts.of(kind)), jsonable(texts.of(kind))):
            assert json.dumps(tree, ensure_ascii=False).count(HOST) >= len(texts.places) > 0
            assert private_in(json.dumps(redactor([]).tree(tree), ensure_ascii=False)) == [], kind


def test_symbol_that_is_named_like_a_secret_keeps_its_number_in_a_record_and_a_secret_in_settings_goes() -> None:
    tree = {"body": [{"PF_TOKENUSD": "1.5"}], "outcome": {}, "parts": [{"text": '{"my_token":"1.5"}'}]}
    found = redact_record(tree, redactor([]))
    assert (found["body"], found["parts"]) == (tree["body"], [{"text": '{"my_token":"[hidden]"}'}])


class Kept:
    """The records of passes, as far as packing asks for them: one."""

    def __init__(self, body: bytes, parts: list[bytes]) -> None:
        self._record = body, parts

    def record(self, name: str) -> tuple[bytes, list[bytes]]:
        return self._record


class Anew(OrderedReplies):
    """A tape that keeps what it is asked in the form of a tape, and the orders that the pass makes up."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.told, self.intents = list[list[Any]](), list[Intent]()

    def answer(self, name: str, asked: tuple[Any, ...]) -> Any:
        """Answer as the parent does, and keep the orders that are asked about."""
        self.intents += [one for one in asked if isinstance(one, Intent)]
        return super().answer(name, asked)

    def reply(self, name: str, digest: bytes) -> list[Any] | None:
        """Return the next reply, as its parent does; a write that wasn't asked then is done."""
        found = super().reply(name, digest)
        self.told.append(
            [name, digest, *(found[2:] if found else ([], True if name == "ledger.record_intent" else None))]
        )
        return found


def planted(hint: Any, value: Any, at: str, place: str = "") -> Any:
    """Return a value with canaries behind the texts of one field."""
    hint = without_none(hint)
    if value is None or hint in PLAIN or hint in (*GIVEN, *NEVER) or is_word(hint):
        return value
    if is_union(hint) or hint is str:
        return f"{value} {PASS_CANARY}" if place == at and type(value) is str else value
    if is_struct(hint) or is_named_tuple(hint):
        fields = {
            name: planted(one, getattr(value, name), at, f"{name_of(hint)}.{name}")
            for name, one in hints_of(hint).items()
        }
        return type(value)(**fields)
    if is_mapping(hint):
        key, item = get_args(hint)
        return {planted(key, name, at, place): planted(item, one, at, place) for name, one in value.items()}
    if many := items_of(hint):
        return many[0]([planted(many[1], one, at, place) for one in value])
    return tuple([planted(one, each, at, place) for one, each in zip(get_args(hint), value, strict=True)])


class Canaries(NamedTuple):
    """The record of a pass that read canaries in one field, and the orders that it made up."""

    body: bytes
    parts: list[bytes]
    intents: list[Intent]


def with_canaries(taken: Taken, at: str) -> Canaries | None:
    """Let the pass decide with canaries in one field of all that it was given and told; None if it has no text."""
    found, recorded, parts = msgpack.decode(taken.written.body), taken.record, RecordParts(PartCache())
    source = recorded.tape().source

    def reply(name: str, written: Any) -> Any:
        hint = reply_hint(name)
        return step_for(hint)(planted(hint, source.read(hint, written), at), parts)

    told, constants = found[TOLD]
    head = [SCHEMA, *(parts.text(one) for one in (_shapes(), AROUND.settings, AROUND.accepted)), *found[4:6]]
    given = step_for(CycleInputs)(planted(CycleInputs, recorded.given, at), parts)
    tape = [[*one[:3], reply(one[0], one[3])] if len(one) == 4 else one for one in told]
    body = [*head, given, [tape, {name: reply(name, one) for name, one in constants.items()}], found[OUTCOME]]
    contents = [parts.remembered.content[one] for one in parts.numbers]
    if not any(HOST.encode() in one for one in (encode_steps(body), *contents)):
        return None
    read = read_record(encode_steps(body), contents, {}, Anew)
    anew = cast(Anew, read.tape())
    body[OUTCOME] = bytes_of(decide_again(read, taken.rules, anew))
    body[TOLD][0] = anew.told
    return Canaries(encode_steps(body), contents, anew.intents)


PASSES: list[Callable[[Scene], list[Taken]]] = [entries, lost_reply, stopped]


@pytest.mark.sampled
@pytest.mark.parametrize("passes", PASSES, ids=lambda one: one.__name__)
def test_pass_that_read_something_private_in_any_field_is_packed_without_it_and_decided_as_it_was(
    passes: Callable[[Scene], list[Taken]],
) -> None:
    taken, planted_in, in_order = passes(Scene())[-1], list[str](), set[str]()
    places = sorted(set(places_in(CycleInputs, *REPLIES.values())) - {""})
    for at in sized(places[PASSES.index(passes) :: 4], places):
        found = with_canaries(taken, at)
        if found is None:
            continue
        kept = cast(KeptPasses, Kept(found.body, found.parts))
        how, why, record = pack_pass(kept, ONE, lambda recorded: taken.rules, redactor(found.intents))
        assert (how, why) == (EQUAL, ""), at
        assert private_in(json.dumps(record, ensure_ascii=False)) == [], at
        kind = OrderedReplies if record["in_order"] else RecordedPorts
        again = read_record(*record_from_json(json.loads(json.dumps(record["record"]))), {}, kind)
        assert replay(again, taken.rules, only_decisions=record["in_order"]).difference is None, at
        planted_in.append(at)
        in_order |= {at} if record["in_order"] else set()
    assert len(planted_in) > sized(4, 30)
    assert not in_order, "every question was asked anew"


def test_people_and_addresses_are_hidden_by_their_form() -> None:
    found = IdentityRedactor(ACCOUNT, FOLDER, {}, ids={}, salt="s")
    said = "halted by unhalt ann.lee/5115 from fe80::1 or 10.1.2.3 at 10:30 for AAPL 3/4"
    assert found.text(said) == (
        "halted by unhalt someone/5115 from hidden.invalid or hidden.invalid at 10:30 for AAPL 3/4"
    )


@pytest.mark.parametrize("tree", [{}, {"body": 1, "outcome": 1, "parts": [{}]}, [], {"body": [], "parts": 3}])
def test_what_is_no_record_is_told_without_the_words_of_the_program(tree: object) -> None:
    with pytest.raises(RecordError, match=r"^it isn't a pass record$"):
        record_from_json(tree)
