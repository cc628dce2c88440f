"""`tradebot health`: a bot that works is OK by what it leaves behind, and whatever ends it or is taken away shows."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.serve import watchdog_thread
from papervenue import process
from tests.kit.bot import forked
from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot, second_session
from tests.kit.waiting import until
from tradebot.adapters.state.serve_status import is_running

EXCHANGES_ARE_PROCESSES = True
"""They are stopped, as a process can be."""

LONGEST_S = 60
JUDGING = {"health": "judgments", "audit --offline": "judgments", "doctor --offline": "judgments", "status": "health"}
NOBODY = {"schedule": "DEGRADED", "chores": "UNKNOWN"}
"""What shows of a bot whose verbs are run by hand: other slots were missed, and no chore was ever run."""
PASSES = ("fetch-flow", "score", "evaluate-exits", "trade-once", "reconcile")


def states(bot: Bot) -> dict[str, str]:
    return {part["subject"]: part["state"] for part in bot.json("health")["judgments"]}


def not_ok(bot: Bot) -> dict[str, str]:
    return {part: state for part, state in states(bot).items() if state != "OK"}


def found(bot: Bot, part: str) -> Any:
    return next(each for each in bot.json("health")["judgments"] if each["subject"] == part)


def test_health_of_a_new_bot_is_not_ok_and_the_probe_is_one_line(bot: Bot) -> None:
    screen = bot.says("health")
    assert screen.code == 0
    assert screen.out.splitlines()[1].startswith("Health UNKNOWN: 7 of 24 parts are OK, 1 not due yet; UNKNOWN books, ")
    said = bot.says("health", "--probe")
    assert (said.code, said.err) == (10, "")
    assert said.out == (
        "UNKNOWN: 7 of 24 parts are OK, 1 not due yet; UNKNOWN books, backup, serve, exits, entries, flow, scores, "
        "schedule, strategies, broker, prices, clock, calendar, signals, replay, facts\n"
    )
    assert bot.says("health", "--probe", "--json").code == 10


def test_health_after_work_finds_only_the_missed_slots(bot: Bot) -> None:
    second_session(bot)
    for verb in PASSES:
        bot.says(verb)
    bot.says("backup")
    assert not_ok(bot) == {**NOBODY}
    shown = bot.says("health").out
    assert "books and broker agree" in shown
    assert "Health UNKNOWN: 22 of 24 parts are OK; UNKNOWN chores; DEGRADED schedule" in shown
    assert "it wasn't run" in shown
    assert "next: tradebot serve" in shown, "nothing is recorded about a slot that nobody ran"


def test_health_without_facts_calls_nothing_ok_that_needs_them(bot: Bot, copy: Bot) -> None:
    (copy.folder / "facts.db").unlink()
    slots_but_no_pass, unknown = (
        ("exits", "entries", "flow", "scores"),
        ("signals", "prices", "replay", "facts", "clock"),
    )
    expected = dict.fromkeys(slots_but_no_pass, "FAILED") | dict.fromkeys(unknown, "UNKNOWN")
    assert not_ok(copy) == expected | {"strategies": "FAILED", **NOBODY}


def test_health_with_a_broken_configuration_uses_the_accepted_one_and_is_degraded(bot: Bot, copy: Bot) -> None:
    (copy.folder / "tradebot.yaml").write_text("limits: {max_open_positions: many}\n")
    for verb in ("health", "status"):
        said = copy.says(verb)
        assert (said.code, "max_open_positions" in said.err, "the accepted configuration is used" in said.err) == (
            0, True, True
        )  # fmt: skip
    assert found(copy, "config")["state"] == "DEGRADED"
    assert "config DEGRADED: the accepted configuration is used instead" in said.out
    shows(copy.says("health", "--probe"), 10, "DEGRADED schedule, config")


def test_health_with_damaged_books_calls_nothing_ok_that_needs_them(bot: Bot, copy: Bot) -> None:
    (copy.folder / "ledger.db").write_bytes(b"not a database")
    found = states(copy)
    assert {part for part, state in found.items() if state == "FAILED"} == {"ledger", "journal", "facts"}
    assert {part for part, state in found.items() if state == "OK"} == {"config", "disk", "halts", "storage"}
    assert copy.says("health", "--probe").code == 10
    shown = copy.says("health").out
    assert shown.count("not a database") == 1
    assert "FAILED   journal     as ledger, above\n" in shown


def test_a_position_closed_since_the_last_pass_of_exits_lacks_no_stop(trader: Bot) -> None:
    assert trader.json("trade-once")["orders"] >= 1
    trader.does("exchange tick 1m", "reconcile", "flatten --all --confirm ALL")
    assert "without a stop at the broker" in found(trader, "exits")["found"]
    trader.does("exchange tick 1m", "reconcile")
    assert trader.json("positions")["positions"] == []
    assert "without a stop" not in found(trader, "exits")["found"]


def flip(path: Path, at: int = 200) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def damaged_backup(folder: Path) -> None:
    flip(max((folder / "backups" / "parts").iterdir(), key=lambda part: part.stat().st_size))


def zeroed_page(folder: Path) -> None:
    content = bytearray((folder / "ledger.db").read_bytes())
    content[4096:8192] = bytes(4096)
    (folder / "ledger.db").write_bytes(content)


DAMAGE: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "a byte of the journal": ("journal", "tradebot recover", lambda folder: flip(folder / "journal.jsonl")),
    "no journal": ("journal", "tradebot recover", lambda folder: (folder / "journal.jsonl").unlink()),
    "a page of the ledger": ("ledger", "tradebot recover", zeroed_page),
    "no database": ("ledger", "tradebot recover", lambda folder: (folder / "ledger.db").write_bytes(b"not a database")),
    "a backup": ("backup", "tradebot backup", damaged_backup),
    "no facts": ("facts", "tradebot fetch-flow", lambda folder: (folder / "facts.db").write_text("no database" * 99)),
    "nobody's halt": ("halts", "tradebot unhalt", lambda folder: (folder / "ARMED").unlink()),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_every_judging_verb_gives_damage_the_same_verdict_and_remedy(bot: Bot, copy: Bot, what: str) -> None:
    part, remedy, hurt = DAMAGE[what]
    copy.says("backup")
    hurt(copy.folder)
    damaged = {path.name: path.read_bytes() for path in copy.folder.glob("facts.db*")}
    # The verb that shows most, and would open most, comes first: looking moves nothing aside.
    said = {verb: copy.says(*verb.split(), "--json") for verb in reversed(JUDGING)}
    assert part != "facts" or damaged == {path.name: path.read_bytes() for path in copy.folder.glob("facts.db*")}
    verdicts = {verb: verdict_of(part, verb, json.loads(each.out)) for verb, each in said.items()}
    found, following = verdicts["health"]
    assert set(verdicts.values()) == {(found, following)}
    assert following.startswith(remedy)
    codes = {verb: each.code for verb, each in said.items() if verb != "status"}
    assert codes == dict.fromkeys(codes, 10)
    if part == "journal":
        verified = copy.says("journal", "verify")
        assert (verified.code in (2, 10), following in " ".join((verified.out + verified.err).split())) == (True, True)


def verdict_of(part: str, verb: str, document: Any) -> tuple[str, str]:
    """Return what a verb found of a part that has failed, and what to do; a screen without its books says only that."""
    if "error" in document:
        return document["error"]["message"], document["error"]["hint"]
    row = next(row for row in document["data"][JUDGING[verb]] if row["subject"] == part)
    assert row["state"] == "FAILED"
    return row["found"], row["next"]


def test_health_fails_a_disk_with_too_little_room(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_STORAGE__MIN_FREE_MB", "1000000")
    assert found(bot, "disk")["state"] == "FAILED"
    assert "disk FAILED" in bot.says("status").out


def serve_says(bot: Bot) -> tuple[str, str]:
    part = found(bot, "serve")
    return part["state"], part["found"]


def often() -> None:
    """Let `serve` write its note more often than every five seconds."""
    watchdog_thread.NOTE_S = 0.2


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def healthz(port: int) -> int:
    return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=LONGEST_S).status_code


@pytest.mark.campaign
def test_health_notices_a_hanging_a_stopped_and_a_killed_serve(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange, port = process.running_endpoint(bot.folder / "exchange"), free_port()
    assert exchange is not None
    monkeypatch.setenv("TRADEBOT_HEALTH__PORTS", f"[{port}]")
    monkeypatch.setenv("TRADEBOT_SERVE__STALL_S", "2")
    with forked.start(["serve", "--speed", "1", "--state-dir", str(bot.folder)], first=often) as serve:
        try:
            until(lambda: "lock-step last ran" in serve_says(bot)[1])
            until(lambda: "serve OK: process" in bot.says("status").out)
            until(lambda: healthz(port) == 200)
            with stopped(exchange.pid):
                until(lambda: serve_says(bot)[0] == "FAILED")
                assert "lock-step last ran" in serve_says(bot)[1]
                # It answers while its only lane hangs.
                until(lambda: healthz(port) == 503)
            until(lambda: serve_says(bot)[0] == "OK")
            monkeypatch.setenv("TRADEBOT_HEALTH__NOTE_S", "1")
            with stopped(serve.pid):
                until(lambda: "hangs or is stopped" in serve_says(bot)[1])
                assert (serve_says(bot)[0], is_running(bot.folder)) == ("FAILED", True), "it still holds its lock"
            until(lambda: serve_says(bot)[0] == "OK")
        finally:
            serve.kill()
            serve.communicate(timeout=LONGEST_S)
    state, said = serve_says(bot)
    assert (state, f"process {serve.pid} ended without recording why" in said) == ("FAILED", True)
    assert "serve FAILED: process" in bot.says("status").out
    assert bot.says("health", "--probe").out.startswith("FAILED: ")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_judging_verbs_change_no_file(bot: Bot) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in bot.folder.iterdir() if path.is_file()}

    for verb in (*JUDGING, "audit --since 2h", "doctor", "signals", "schedule check"):
        before = files()
        bot.says(*verb.split())
        assert files() == before, verb
