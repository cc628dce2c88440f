"""`tradebot exchange page`: the address of the page, and a browser that opens it."""

from pathlib import Path

import pytest
import requests

from papervenue import process
from tests.kit.bot.folder import Bot, log


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


def test_without_a_browser_the_address_is_told_and_the_exit_code_says_so(
    bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
