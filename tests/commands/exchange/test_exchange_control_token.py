"""The verbs that control the exchange, where the kernel does not tell whose request one is: with its token, or not."""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from exchange.tests.kit.served import Served, served
from papervenue import process
from papervenue.faces import guard
from papervenue.market.spec import MarketError
from papervenue.private_files import TOKEN_FILE, issue
from papervenue.state import LOCK_FILE, PORT_FILE
from tests.kit.bot.folder import Bot, log, made

VERBS = ("exchange tick 5m", "exchange tick close", "exchange faults add lost-reply", "exchange faults clear")


@contextmanager
def blind(folder: Path) -> Iterator[tuple[Served, Callable[[], None]]]:
    """Serve a folder where no kernel tells anything; yield it, and how to let it be taken for one that has ended."""
    with (folder / LOCK_FILE).open("a") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setattr(guard, "_CONNECTIONS", (folder / "no such table",))
        with served(folder, token=issue(folder)) as place:
            (folder / PORT_FILE).write_text(json.dumps({"url": place.url, "pid": os.getpid(), "instance": "test"}))
            yield place, lambda: fcntl.flock(lock, fcntl.LOCK_UN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made(tmp_path_factory.mktemp("token") / "bot") as folder:
        process.stop(folder / "exchange")
        yield folder


def test_verbs_show_the_token_and_nothing_changes_without_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot, exchange = Bot(folder, capsys), folder / "exchange"
    with blind(exchange) as (_, end):
        token = (exchange / TOKEN_FILE).read_text()
        for away in ((exchange / TOKEN_FILE).unlink, lambda: (exchange / TOKEN_FILE).write_text("0" * 64)):
            away()
            before = (exchange / "log.jsonl").read_bytes()
            for verb in VERBS:
                said = bot.says(*verb.split())
                assert (said.code, f"send the content of {TOKEN_FILE}" in said.err) == (2, True), (verb, said)
            assert (exchange / "log.jsonl").read_bytes() == before
            assert bot.says("exchange", "status").code == 0, "who only looks needs none"
        (exchange / TOKEN_FILE).write_text(token)
        for verb in VERBS:
            said = bot.says(*verb.split())
            assert said.code == 0, (verb, said)
            assert token not in said.out + said.err
        assert token.encode() not in (exchange / "log.jsonl").read_bytes()
        end()


def test_it_is_stopped_with_the_token_and_refuses_to_without(folder: Path) -> None:
    asked, exchange = list[int](), folder / "exchange"
    with blind(exchange) as (_, end):

        def told(number: int, frame: object) -> None:
            asked.append(number)
            end()

        token, before = (exchange / TOKEN_FILE).read_text(), signal.signal(signal.SIGTERM, told)
        try:
            (exchange / TOKEN_FILE).unlink()
            with pytest.raises(MarketError, match=f"send the content of {TOKEN_FILE}"):
                process.stop(exchange)
            assert asked == []
            (exchange / TOKEN_FILE).write_text(token)
            process.stop(exchange)
        finally:
            signal.signal(signal.SIGTERM, before)
    assert asked == [signal.SIGTERM]


def test_an_exchange_alone_needs_its_token(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "exchange").symlink_to(folder / "exchange")
    other, verbs = Bot(tmp_path / "alone", capsys), ("tick 60s", "reset main --confirm main")
    with blind(folder / "exchange") as (_, end):
        assert [other.says("exchange", *verb.split()).code for verb in verbs] == [0, 0]
        (folder / "exchange" / TOKEN_FILE).unlink()
        assert [other.says("exchange", *verb.split()).code for verb in verbs] == [2, 2]
        end()


def test_the_address_is_told_and_the_exchange_started_for_it(bot: Bot) -> None:
    process.stop(bot.folder / "exchange")
    assert bot.shown("exchange", "page") == "http://127.0.0.1:PORT/"
    data = bot.json("exchange", "page")
    assert data == {"url": bot.url + "/", "opened": None}
    answer = requests.get(data["url"], timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert requests.get(f"{bot.url}/exchange/v1/page", timeout=60).json()["accounts"][0]["name"] == "main"


def test_a_browser_opens_it(bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\nenv >> {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("ALPACA_SECRET", "not-for-a-browser")
    url = bot.url
    out, err = bot.process("exchange", "page", "--open").communicate(timeout=120)
    assert (out, err) == (f"{url}/\n", "")
    assert seen.read_text().startswith(f"{url}/\n")
    assert "PATH=" in seen.read_text()
    assert "not-for-a-browser" not in seen.read_text()


def test_without_a_browser_the_address_is_told(bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = bot.url
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    running = bot.process("exchange", "page", "--open")
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 1
    assert out.splitlines() == [f"{url}/", "Couldn't open a browser here. Open the address yourself."]


def test_the_page_sends_what_the_commands_send(bot: Bot) -> None:
    """Compare the requests in the log, byte for byte: a tick and its body, a ready-made script, and its clearing."""
    page = requests.get(f"{bot.url}/exchange/v1/page", timeout=60).json()
    script = requests.get(f"{bot.url}/", timeout=60).text
    own = {"Origin": bot.url, "X-Exchange-Page": page["key"], "Content-Type": "application/json"}
    told = {}
    for way in ("command", "page"):
        before = len(log(bot.url))
        if way == "command":
            for verb in (
                "tick 1m",
                "tick 5m",
                "tick close",
                "faults add lost-reply",
                "faults clear lost-reply",
                "faults clear",
            ):
                assert bot.says("exchange", *verb.split()).code == 0, verb
        else:
            for body in ('{"seconds": 60}', '{"seconds": 300}', '{"to": "close"}'):
                assert f"'{body}'" in script
                assert requests.post(f"{bot.url}/exchange/v1/tick", body, headers=own, timeout=60).status_code == 200
            faults = f"{bot.url}/exchange/v1/faults"
            assert requests.post(faults, '{"script":"lost-reply"}', headers=own, timeout=60).status_code == 200
            for path in ("/lost-reply", ""):
                assert requests.delete(faults + path, headers=own, timeout=60).status_code == 200
        told[way] = [
            [line[name] for name in ("method", "path", "query", "body")]
            for line in log(bot.url)[before:]
            if line["event"] == "request"
        ]
    assert (told["page"], len(told["page"])) == (told["command"], 6)
