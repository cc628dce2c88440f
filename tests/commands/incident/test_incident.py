"""`tradebot incident`: all that is known of a pass in one file, nothing private in it, and decided again anywhere."""

import json
import platform
import re
import shutil
import sqlite3
from contextlib import closing, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.replay.report import decided_again_from
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, Said, typed
from tests.kit.bot.state import configure
from tradebot.adapters.state.incident_file import AGAIN, content_of, parts_of
from tradebot.errors import OperatorError
from tradebot.gates import entry
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.replaying.record_json import TOLD

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
    assert "every decision is equal; the file can be replayed anywhere" in " ".join(said.out.split())
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


def test_nothing_private_is_in_the_file_wherever_it_stood(
    order: tuple[Bot, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_damaged_byte_is_told_by_the_part_that_it_is_in(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = _alone(capsys, "replay", "nothere.txt")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: There is no file nothere.txt.")
    assert "tradebot replay 2026-11-16" in said.err
    refuses(_alone(capsys, "replay", str(tmp_path)), 2, "it is a folder", "name a regular file")


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
