"""Who is let in: only the token's holder, only from pages of this server, and only so many guesses."""

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from commands.web.guard import (
    HEADERS,
    LONGEST_BODY,
    MOST_ADDRESSES,
    MOST_SESSIONS,
    MOST_WRONG,
    SESSION_S,
    WRONG_S,
    BrowserSession,
    Guard,
    Logins,
    TooManyLoginsError,
    came_from_form,
    held_by,
    local_path,
)
from tests.commands.web.client import COOKIE, HOST, ORIGIN, TOKEN, Clock, logins
from tests.kit.values import there


def behind(request: Request) -> PlainTextResponse:
    """Answer what a page behind the guard does, or fail as a page with a defect would."""
    if request.url.path == "/broken":
        raise RuntimeError("a secret detail")
    session = request.scope.get("session")
    return PlainTextResponse(f"let in {'with' if session else 'without'} a session")


def guarded(known: Logins) -> TestClient:
    paths = ("/", "/login", "/loginx", "/static/a", "/live", "/api/pages/x", "/broken", "/act")
    routes = [Route(path, behind, methods=["GET", "POST"]) for path in paths]
    app = Guard(Starlette(routes=routes), known, {HOST}, "http", COOKIE)
    return TestClient(app, ORIGIN, raise_server_exceptions=False, follow_redirects=False, headers={"Origin": ORIGIN})


def with_session(known: Logins) -> TestClient:
    client = guarded(known)
    client.cookies.set(COOKIE, there(known.log_in(TOKEN, "")))
    return client


def test_a_wrong_token_opens_nothing_and_the_right_one_a_session_that_is_kept_as_a_digest() -> None:
    known = logins()
    assert known.log_in("nonsense", "10.0.0.1") is None
    held = there(known.log_in(TOKEN, "10.0.0.1"))
    assert held not in repr(known.__dict__)
    assert there(known.session(held)).csrf not in ("", held)
    assert known.session(f"{held}x") is None
    known.log_out(held)
    assert known.session(held) is None


def test_after_five_wrong_tokens_even_the_right_one_waits_until_the_first_is_a_minute_old() -> None:
    clock = Clock()
    known = logins(clock)
    for _ in range(MOST_WRONG):
        assert known.log_in("nonsense", "10.0.0.1") is None
        clock.now_s += 1
    with pytest.raises(TooManyLoginsError, match="too many wrong tokens") as refused:
        known.log_in(TOKEN, "10.0.0.1")
    assert refused.value.wait_s == WRONG_S - MOST_WRONG + 1
    # Somebody at another address isn't kept out by them.
    assert known.log_in(TOKEN, "10.0.0.2") is not None
    clock.now_s += WRONG_S - MOST_WRONG
    assert known.log_in("nonsense", "10.0.0.1") is None
    with pytest.raises(TooManyLoginsError):
        known.log_in(TOKEN, "10.0.0.1")


def test_programs_with_a_wrong_token_keep_nobody_from_logging_in_and_are_limited_themselves() -> None:
    known = logins()
    for _ in range(MOST_WRONG):
        assert not known.has_token("Bearer nonsense", "10.0.0.1")
    with pytest.raises(TooManyLoginsError):
        known.has_token(f"Bearer {TOKEN}", "10.0.0.1")
    assert known.log_in(TOKEN, "10.0.0.1") is not None
    for _ in range(MOST_WRONG):
        assert known.log_in("nonsense", "10.0.0.2") is None
    with pytest.raises(TooManyLoginsError):
        known.log_in(TOKEN, "10.0.0.2")
    assert known.has_token(f"Bearer {TOKEN}", "10.0.0.2")


def test_all_addresses_of_this_machine_count_as_one_and_old_ones_are_forgotten() -> None:
    known = logins()
    for last in range(MOST_WRONG):
        assert known.log_in("nonsense", f"127.0.0.{last + 1}") is None
    for address in ("127.9.9.9", "::1", "", "nonsense"):
        with pytest.raises(TooManyLoginsError):
            known.log_in(TOKEN, address)
    for number in range(MOST_ADDRESSES):
        known.log_in("nonsense", f"10.1.{number // 250}.{number % 250}")
    assert known.log_in(TOKEN, "127.0.0.1") is not None


@pytest.mark.parametrize(
    ("wrong", "same", "other"),
    [
        ("2001:db8:1:2::{}", "2001:db8:1:2:aaaa::1", "2001:db8:1:3::1"),
        ("fe80::{}%eth0", "fe80::aaaa%eth0", "fe80:0:0:1::1%eth0"),
        ("::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2"),
    ],
    ids=["a network", "a link", "IPv4 over IPv6"],
)
def test_wrong_tokens_are_counted_by_ipv6_network_and_by_ipv4_address(wrong: str, same: str, other: str) -> None:
    known = logins()
    for last in range(MOST_WRONG):
        assert known.log_in("nonsense", wrong.format(last + 1)) is None
    with pytest.raises(TooManyLoginsError):
        known.log_in(TOKEN, same)
    assert known.log_in(TOKEN, other) is not None


def test_a_session_ends_twelve_hours_after_it_looked_last() -> None:
    clock = Clock()
    known = logins(clock)
    held = there(known.log_in(TOKEN, ""))
    for _ in range(3):
        clock.now_s += SESSION_S
        assert known.session(held) is not None
    clock.now_s += SESSION_S + 1
    assert known.session(held) is None
    clock.now_s -= SESSION_S
    assert known.session(held) is None


def test_one_browser_more_than_may_be_ends_the_session_that_looked_longest_ago_and_programs_end_none() -> None:
    known = logins()
    held = [known.log_in(TOKEN, "") or "" for _ in range(MOST_SESSIONS)]
    assert known.session(held[0]) is not None
    for _ in range(MOST_SESSIONS):
        assert known.has_token(f"bearer {TOKEN} ", "")
    assert known.session(held[1]) is not None
    known.log_in(TOKEN, "")
    assert [known.session(each) is not None for each in held].count(False) == 1
    assert known.session(held[2]) is None


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1", "127.0.0.1:5001", "localhost:5000", "", "127.0.0.1:5000.x"]
)
def test_another_name_is_refused_whatever_is_asked(host: str) -> None:
    client = with_session(logins())
    for path in ("/", "/login", "/static/a", "/live", "/api/pages/x"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, "let in" in answer.text) == (421, False)


@pytest.mark.parametrize(
    "origin", ["null", "", "https://127.0.0.1:5000", "http://127.0.0.1:5001", "http://example.org"]
)
def test_what_a_page_of_another_server_sends_is_refused(origin: str) -> None:
    client = with_session(logins())
    for path in ("/login", "/act", "/logout"):
        assert client.post(path, headers={"Origin": origin}).status_code == 403
    del client.headers["Origin"]
    assert client.post("/act").status_code == 403
    assert client.post("/act", headers={"Origin": ORIGIN.upper()}).status_code == 200


def test_without_a_session_pages_lead_to_the_login_and_everything_else_is_an_error() -> None:
    client = guarded(logins())
    page = client.get("/?symbol=BRK%2FB&a=1")
    assert (page.status_code, page.headers["location"]) == (303, "/login?to=%2F%3Fsymbol%3DBRK%252FB%26a%3D1")
    for method, path in (("GET", "/live"), ("GET", "/api/pages/x"), ("POST", "/act"), ("POST", "/loginx")):
        answer = client.request(method, path)
        assert (answer.status_code, "let in" in answer.text) == (401, False)
    for path in ("/login", "/static/a"):
        assert client.get(path).text == "let in without a session"
    assert client.get("/loginx").status_code == 303


def test_programs_look_with_the_token_in_a_header_and_nowhere_else() -> None:
    client = guarded(logins())
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/pages/x", headers=right).text == "let in without a session"
    assert client.post("/api/pages/x", headers=right).status_code == 401
    assert client.get("/live", headers=right).status_code == 401
    assert client.get("/", headers=right).status_code == 303
    for name in ("token", "access_token", "Authorization"):
        assert client.get(f"/api/pages/x?{name}={TOKEN}").status_code == 401
    assert client.get("/api/pages/x", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert client.get("/api/pages/x", headers={"Cookie": f"{COOKIE}={TOKEN}"}).status_code == 401
    for _ in range(MOST_WRONG):
        assert client.get("/api/pages/x", headers={b"Authorization": b"Bearer \xff"}).status_code == 401
    refused = client.get("/api/pages/x", headers=right)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, str(int(WRONG_S) + 1))
    assert refused.json() == {"error": "too many wrong tokens", "next": "wait 61 seconds, then try again"}


def test_a_session_lets_a_browser_in_everywhere() -> None:
    client = with_session(logins())
    for method, path in (("GET", "/"), ("GET", "/live"), ("GET", "/api/pages/x"), ("POST", "/act")):
        assert client.request(method, path).text == "let in with a session"


def test_every_answer_forbids_scripts_of_others_frames_and_copies_and_errors_tell_no_details() -> None:
    client = with_session(logins())
    answers = [
        *(client.get(path) for path in ("/", "/static/a", "/live", "/missing", "/broken")),
        client.get("/", headers={"Host": "example.org"}),
        client.post("/act", headers={"Origin": "null"}),
        client.put("/act"),
        guarded(logins()).get("/"),
        guarded(logins()).get("/live"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 500, 421, 403, 405, 303, 401]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert answer.headers["cache-control"] == "no-store"
        assert "secret detail" not in answer.text
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_body_that_is_longer_than_any_form_is_refused_by_its_head() -> None:
    client = with_session(logins())
    assert client.post("/act", content=b"x" * LONGEST_BODY).status_code == 200
    assert client.post("/login", content=b"x" * (LONGEST_BODY + 1)).status_code == 413
    assert client.post("/login", headers={"Content-Length": "9" * 5_000}).status_code == 413
    assert client.post("/login", content=iter([b"x"])).status_code == 411
    assert client.post("/login", headers={"Content-Length": "-1"}).status_code == 411


def test_nonsense_in_cookies_and_forms_is_no_session() -> None:
    for cookie in ("", "nonsense", f"{COOKIE}", f"other={TOKEN}", 'a="', f"{COOKIE}\x01=1", "\xff=1; ;;="):
        assert held_by(Headers({"cookie": cookie}), COOKIE) in (None, "")
    for others in ("tradebot-6000=b", 'theme={"dark": true}', "name=a b", "[a]=1", "a@b=1", "secure", "\xff=\xff", ""):
        assert held_by(Headers({"cookie": f"{others}; {COOKIE}=a; {others}"}), COOKIE) == "a"
    session = BrowserSession("right", 0.0)
    assert came_from_form(session, "right")
    for csrf in ("", "wrong", "rightx", "ünïcode", "\udcff"):
        assert not came_from_form(session, csrf)
    assert not came_from_form(None, "")


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/positions?a=1", "/positions?a=1"),
        ("/", "/"),
        ("", "/"),
        ("positions", "/"),
        ("//example.org", "/"),
        ("/\\example.org", "/"),
        ("/\t/example.org", "/"),
        ("/\n/example.org", "/"),
        ("https://example.org", "/"),
        ("javascript:alert(1)", "/"),
        ("\\\\example.org", "/"),
        (" //example.org", "/"),
    ],
)
def test_after_the_login_only_a_page_of_this_server_follows(path: str, local: str) -> None:
    assert local_path(path) == local
