"""Sending a notice: through each service's own form, and past receivers that hang, lie or flood."""

import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler

import pytest

from tests.kit.fakes.receivers import Answer, hang, receiving, says
from tradebot.adapters.notices.sender import LIMIT_S, Attempt, deliver
from tradebot.adapters.text.extras import install
from tradebot.adapters.text.redaction import learn
from tradebot.model.event import Severity
from tradebot.model.notice import Notice

NOTICE = Notice("tradebot paper ...1234: a warning", "10:31 AAPL: the broker has 7 shares", Severity.WARN)
TOKEN = "123456789:abcdefg_hijklmnop"


def test_plain_address_gets_json() -> None:
    with receiving() as receiver:
        assert deliver(f"http://{receiver.address}/hook", NOTICE) == ""
    ((path, body),) = receiver.got
    assert path == "/hook"
    assert b'"severity": "WARN"' in body
    assert NOTICE.text.encode() in body


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
def test_services_get_the_text_in_their_own_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.discord import NotifyDiscord
    from apprise.plugins.slack import NotifySlack
    from apprise.plugins.telegram import NotifyTelegram

    def accept(request: BaseHTTPRequestHandler) -> None:
        says(200, b"ok" if request.path.startswith("/slack") else b'{"ok": true, "result": {}}')(request)

    with receiving(accept) as receiver:
        here = f"http://{receiver.address}"
        monkeypatch.setattr(NotifyTelegram, "notify_url", f"{here}/telegram")
        monkeypatch.setattr(NotifyDiscord, "notify_url", f"{here}/discord")
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{here}/slack")
        for address in (
            f"tgram://{TOKEN}/987654321/",
            "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
            f"ntfy://{receiver.address}/topic",
            f"json://{receiver.address}/plain",
        ):
            assert deliver(address, NOTICE) == "", address
    assert len(receiver.got) == 5
    assert all(b"the broker has 7 shares" in body for _, body in receiver.got)


def test_mail_is_sent_by_smtp() -> None:
    import socketserver

    lines: list[bytes] = []

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            data = False
            for line in self.rfile:
                lines.append(line)
                if data:
                    data = line != b".\r\n"
                    self.wfile.write(b"" if data else b"250 kept\r\n")
                elif line.upper().startswith(b"DATA"):
                    data = True
                    self.wfile.write(b"354 go on\r\n")
                elif line.upper().startswith(b"QUIT"):
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        port = server.server_address[1]
        address = f"mailto://127.0.0.1:{port}?from=bot@localhost.localdomain&to=ann@localhost.localdomain&mode=insecure"
        try:
            assert deliver(address, NOTICE) == ""
        finally:
            server.shutdown()
            thread.join()
    assert b"the broker has 7 shares" in b"".join(lines)


def flood(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"x" * 10_000_000)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says(500), "the receiver answered 500"),
        (says(429, b"", **{"Retry-After": "999999"}), "the receiver answered 429"),
        (says(302, b"", Location="http://127.0.0.1:1/elsewhere"), "the receiver answered 302"),
        (says(200, b"\xff\x00 garbage"), ""),
        (flood, ""),
        (hang, "no answer in 2 s"),
    ],
)
def test_receiver_that_fails_lies_floods_or_hangs_costs_its_attempt_alone(answer: Answer, problem: str) -> None:
    # Who answers may be slow on a busy machine.
    limit_s = 2.0 if answer is hang else LIMIT_S
    with receiving(answer) as receiver:
        began = time.monotonic()
        with closing(Attempt(f"http://{receiver.address}/hook-of-ann-0123456789", NOTICE, limit_s=limit_s)) as attempt:
            while not attempt.has_ended():
                time.sleep(0.02)
            assert attempt.problem() == problem
        assert answer is not hang or time.monotonic() - began < LIMIT_S / 2
        assert len(receiver.got) == 1, "a redirect is not followed, and nothing is sent twice"


def test_nobody_listening_is_a_problem_without_the_address() -> None:
    problem = deliver("http://127.0.0.1:9/hook-of-ann-0123456789", NOTICE)
    assert problem == "the receiver can't be reached: ConnectionError"


def test_address_that_apprise_refuses_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    learn("bad-secret-0123456789")
    with closing(Attempt("tgram://bad-secret-0123456789/", NOTICE)) as attempt:
        while not attempt.has_ended():
            time.sleep(0.02)
        problem = attempt.problem()
    assert problem.startswith("Apprise doesn't understand the address")
    assert "bad-secret-0123456789" not in problem


def test_without_apprise_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    assert deliver("tgram://x/1", NOTICE) == f"Apprise isn't installed: {install('notify')}"
