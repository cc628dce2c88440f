"""`tradebot web` as it is typed: where it listens, who may know the token, and how it ends."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.shared.service import listening
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses
from tests.kit.bot.fixtures import copied_books
from tests.kit.bot.folder import Bot
from tradebot.adapters.state.state_folder import LEDGER, WEB_TOKEN

EXAMPLE = "next: tradebot web --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem"


@contextmanager
def served(bot: Bot, *more: str) -> Iterator[Any]:
    """Serve a bot's pages, and yield what is said of where they are; a signal ends it soon, and cleanly."""
    process = bot.process("web", "--port", "0", "--json", *more)
    with process:
        assert process.stdout is not None
        try:
            document = json.loads(process.stdout.readline())
            assert (document["mode"], document["venue"], document["account"]) == ("sandbox", "alpaca", bot.tail())
            yield document["data"]
            began_s = time.monotonic()
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    assert time.monotonic() - began_s < 3


def logged_in(data: Any, token: str, **more: Any) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Origin"] = data["url"].rstrip("/")
    for name, value in more.items():
        setattr(session, name, value)
    answer = session.post(f"{data['url']}login", data={"token": token}, allow_redirects=False, timeout=60)
    assert answer.status_code == 303, answer.text
    return session


def test_the_token_is_shown_once_and_kept_as_a_digest_that_only_the_owner_reads(copy: Bot) -> None:
    with served(copy) as first:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", first["url"])
        stored = copy.folder / WEB_TOKEN
        assert first["token"] not in stored.read_text()
        assert stored.stat().st_mode & 0o777 == 0o600
        browser = logged_in(first, first["token"])
        assert f"account …{copy.tail()}" in browser.get(f"{first['url']}positions", timeout=60).text
        # It listens until the end, and doesn't hold that up.
        lines = browser.get(f"{first['url']}live", stream=True, timeout=60).iter_lines(chunk_size=1)
        assert next(lines) == b"event: beat"
        os.utime(copy.folder / LEDGER)
        began_s = time.monotonic()
        assert b"event: changed" in lines
        assert time.monotonic() - began_s < 2
    with served(copy, "--new-token") as other:
        assert other["token"] not in (None, first["token"])
        answer = requests.get(
            f"{other['url']}api/pages/positions", headers={"Authorization": f"Bearer {first['token']}"}, timeout=60
        )
        assert answer.status_code == 401


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.2", "example.org", "::", "127.0.0.2"])
def test_any_other_address_than_this_machines_own_needs_a_certificate(copy: Bot, host: str) -> None:
    refuses(
        copy.says("web", "--host", host, "--port", "0"),
        2,
        f"on {host}, the token and everything shown would go over the network unencrypted",
        EXAMPLE,
    )
    assert not (copy.folder / WEB_TOKEN).exists()


def test_half_of_what_tls_needs_or_a_file_that_is_none_is_refused(copy: Bot, tmp_path: Path) -> None:
    file, missing = tmp_path / "a.pem", tmp_path / "missing.pem"
    file.write_text("nonsense")
    for option in ("--tls-cert", "--tls-key"):
        refuses(copy.says("web", "--port", "0", option, str(file)), 2, "only work together", EXAMPLE)
    said = copy.says("web", "--port", "0", "--tls-cert", str(file), "--tls-key", str(missing))
    assert (said.code, "isn't a file that can be read" in said.err) == (2, True)
    said = copy.says("web", "--port", "0", "--tls-cert", str(file), "--tls-key", str(file))
    assert (said.code, said.out, "can't be used" in said.err) == (2, "", True)
    assert not (copy.folder / WEB_TOKEN).exists(), "no token ends for a server that can't start"


def test_a_taken_port_and_a_missing_state_are_told(copy: Bot) -> None:
    with listening("127.0.0.1", 0, "") as taken:
        said = copy.says("web", "--port", str(taken.getsockname()[1]))
    assert (said.code, "can't be used: Address already in use" in said.err) == (2, True)
    assert "next: tradebot web --port 0" in said.err
    copy.folder = copy.folder / "nowhere"
    refuses(copy.says("web", "--port", "0"), 2, "There is no state")


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_with_a_certificate_everything_goes_over_tls_and_the_cookie_nowhere_else(copy: Bot, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = shlex.split("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    with served(copy, "--tls-cert", str(cert), "--tls-key", str(key)) as data:
        assert data["url"].startswith("https://127.0.0.1:")
        browser = logged_in(data, data["token"], verify=str(cert))
        cookie = next(iter(browser.cookies))
        assert not isinstance(cookie, str)
        assert (cookie.name[:16], cookie.secure, cookie.path) == ("__Host-tradebot-", True, "/")
        assert browser.get(f"{data['url']}positions", timeout=60).status_code == 200
        with pytest.raises(requests.ConnectionError):
            browser.get(data["url"].replace("https", "http"), timeout=60)
    locked = ["openssl", "ec", "-in", str(key), "-aes128", "-passout", "pass:word", "-out", str(key)]
    subprocess.run(locked, check=True, capture_output=True)
    refuses(copy.says("web", "--port", "0", "--tls-cert", str(cert), "--tls-key", str(key)), 2, "without a pass phrase")


def test_several_bots_are_served_with_one_token_that_each_of_them_keeps(copy: Bot, tmp_path: Path) -> None:
    second, line = copied_books(copy.folder, tmp_path / "second"), ["web", "--port", "0", "--json", "--bots"]
    with forked.start([*line, str(copy.folder), str(second), str(tmp_path / "gone")]) as process:
        assert process.stdout is not None
        try:
            document = json.loads(process.stdout.readline())
            data = document["data"]
            assert (document["mode"], document["account"]) == (None, None)
            (why,) = data["unread"]
            assert why.startswith(f"gone: There is no state at {tmp_path / 'gone'}.")
            stored = [(folder / WEB_TOKEN).read_text() for folder in (copy.folder, second)]
            assert (len(set(stored)), (tmp_path / "gone").exists()) == (1, False)
            session = logged_in(data, data["token"])
            page = session.get(data["url"], timeout=60).text
            assert all(f'href="/bot/{name}/"' in page for name in ("second", "gone"))
            assert "account …" in session.get(f"{data['url']}bot/second/positions", timeout=60).text
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
