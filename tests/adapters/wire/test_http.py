"""One exchange is bounded in everything, and numbers survive it exactly."""

import gzip
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.adapters.alpaca import QUICK
from tests.kit.fakes.scripted import Scripted, Wire, serving
from tradebot.adapters.flow.unusual_whales import UnhurriedSession
from tradebot.adapters.wire.http import (
    BodyError,
    BoundedSession,
    HttpSession,
    RequestBounds,
    RetryableError,
    RetryPolicy,
    WireError,
    decode,
    exchange,
)

IMPATIENT = RequestBounds(connect_s=5.0, read_s=0.15, total_s=0.4)
"""For answers that are spoiled in any case: a busy machine can only spoil them more."""


Connect = Callable[[RequestBounds], HttpSession]


@pytest.fixture(params=[BoundedSession, UnhurriedSession])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Return each kind of connections, for what holds for all of them."""
    kind: Connect = request.param
    return kind


@pytest.fixture
def ask(connect: Connect, wire: Wire) -> Callable[..., bytes]:
    """Return a function that asks the wire within some bounds."""
    return lambda bounds=QUICK: exchange(connect(bounds), bounds, "GET", wire.url + "/x").body


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_fractions_survive_decoding_exactly(number: Decimal) -> None:
    assert decode(f'[{number:f}, {number:e}, "{number:f}"]'.encode()) == [number, number, f"{number:f}"]


def test_decode_turns_constants_into_decimals_that_rows_refuse() -> None:
    decoded = decode(b"[NaN, Infinity, -Infinity, 1e99999999999999999999]")
    assert isinstance(decoded, list)
    assert not any(number.is_finite() for number in decoded)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("digits", ["9" * 98, "1234567890" * 10, "9" * 101, "9" * 5_000])
def test_an_integer_is_read_up_to_a_hundred_characters(sign: str, digits: str) -> None:
    number = sign + digits
    for before in range(5):
        decoded = decode(f'{" " * before}[7, {number}, "{number}"]'.encode())
        assert repr(decoded) == repr([7, int(number) if len(number) <= 100 else Decimal("NaN"), number])


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    ("whole", "places", "exponent"), [(1, 97, 0), (49, 48, 0), (33, 33, 30), (40, 40, 20), (60, 60, 0), (2, 99, 0)]
)
def test_a_fraction_is_read_up_to_a_hundred_characters(sign: str, whole: int, places: int, exponent: int) -> None:
    number = f"{sign}{'9' * whole}.{'3' * places}" + (f"e-{'0' * exponent}" if exponent else "")
    expected = Decimal("NaN") if len(number) > 100 else Decimal(number)
    assert repr(decode(f'[0.5, {number}, "{number}"]'.encode())) == repr([Decimal("0.5"), expected, number])


@given(st.binary(max_size=30))
def test_decode_reads_any_bytes_or_raises_body_error(body: bytes) -> None:
    try:
        json.dumps(decode(body), default=str)
    except BodyError:
        return


@pytest.mark.parametrize("body", [b"", b"[" * 200_000, b"\xef\xbb\xbf{}", b'{"a": 1'])
def test_decode_raises_body_error_for_no_json(body: bytes) -> None:
    with pytest.raises(BodyError):
        decode(body)


@pytest.mark.parametrize("fault", ["hang", "reset", "truncate", "trickle"])
def test_every_spoiled_answer_is_a_fault_within_the_bounds(wire: Wire, fault: str, ask: Callable[..., bytes]) -> None:
    wire.answer(Scripted(200, {"a": "b" * 40}, fault=fault))
    with pytest.raises(WireError):
        ask(IMPATIENT)


def test_silence_ends_a_request_long_before_its_whole_time_is_up(wire: Wire, connect: Connect) -> None:
    wire.answer(Scripted(200, b"[]", fault="hang"))
    patient = RequestBounds(connect_s=1.0, read_s=0.1, total_s=60.0)
    with pytest.raises(WireError, match="took too long"):
        exchange(connect(patient), patient, "GET", wire.url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9", "no answer from 127.0.0.1:9: the connection was refused"),
        ("http://nothing.invalid", "no answer from nothing.invalid: its name could not be looked up"),
    ],
)
def test_wire_error_names_the_host_and_says_why_in_plain_words(url: str, why: str, connect: Connect) -> None:
    with pytest.raises(WireError) as failed:
        exchange(connect(QUICK), QUICK, "GET", f"{url}/v2/clock")
    assert str(failed.value) == why


def test_exchange_unpacks_a_body_and_refuses_a_broken_or_swelling_one(wire: Wire, ask: Callable[..., bytes]) -> None:
    packed = {"Content-Encoding": "gzip"}
    wire.answer(Scripted(200, gzip.compress(b"[1]"), packed))
    assert ask() == b"[1]"
    wire.answer(Scripted(200, gzip.compress(b"[1]" * 50)[:-14], packed))
    assert len(ask()) < 150
    wire.answer(Scripted(200, b"not packed", packed))
    with pytest.raises(WireError):
        ask()
    wire.answer(Scripted(200, gzip.compress(b" " * 30_000_000), packed))
    with pytest.raises(WireError, match="larger"):
        ask()


def test_exchange_ignores_a_proxy_of_the_environment(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., bytes]
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "HTTP_PROXY" in os.environ
    wire.answer(Scripted(200, b"[]"))
    assert ask() == b"[]"


def test_neither_netrc_nor_a_certificate_store_of_the_environment_counts(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., bytes]
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login stranger password strange\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    wire.answer(Scripted(200, b"[]"))
    assert requests.get(wire.url, timeout=60).request.headers["Authorization"], (
        "the file is one that requests would use"
    )
    assert ask() == b"[]"
    assert "Authorization" not in wire.asked[-1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_exchange_does_not_follow_redirects(wire: Wire, status: int, connect: Connect) -> None:
    with serving() as elsewhere:
        wire.answer(Scripted(status, b"{}", {"Location": f"{elsewhere.url}/taken"}))
        keys = {"APCA-API-KEY-ID": "k" * 20, "APCA-API-SECRET-KEY": "s" * 40, "Authorization": "Bearer " + "t" * 30}
        for method, body in (("GET", None), ("POST", {"symbol": "AAPL"}), ("DELETE", None)):
            assert exchange(connect(QUICK), QUICK, method, wire.url, headers=keys, body=body).status == status
        assert elsewhere.asked == []


def test_a_cookie_is_not_kept_and_a_packed_answer_is_asked_for(wire: Wire, connect: Connect) -> None:
    wire.answer(Scripted(200, b"[]", headers={"Set-Cookie": "session=1"}))
    session = connect(QUICK)
    for _ in range(2):
        exchange(session, QUICK, "GET", wire.url, headers={"X-Key": "k"}, params={"of": "a b&c"})
    assert [("Cookie" in asked.headers, asked.headers["X-Key"], asked.query) for asked in wire.asked] == [
        (False, "k", {"of": "a b&c"})
    ] * 2
    assert "gzip" in wire.asked[0].headers["Accept-Encoding"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "k\r\nY: z"), ("X", "k\r\n z"), ("X", "k\0"), ("X", "k\u2028"), ("X: y\r\nZ", "k"), ("", "k")],
)
def test_exchange_refuses_headers_with_line_breaks(wire: Wire, name: str, value: str, connect: Connect) -> None:
    with pytest.raises(WireError, match="a header isn't valid HTTP"):
        exchange(connect(QUICK), QUICK, "GET", wire.url, headers={name: value})
    assert wire.asked == []


@pytest.mark.parametrize("url", ["", "/v2/clock", "ftp://127.0.0.1/", "http://", "http:///x", "file:///etc/passwd"])
def test_exchange_refuses_invalid_addresses(url: str, connect: Connect) -> None:
    with pytest.raises(WireError):
        exchange(connect(QUICK), QUICK, "GET", url)


def test_exchange_refuses_a_body_that_json_can_not_hold(wire: Wire, connect: Connect) -> None:
    with pytest.raises(WireError):
        exchange(connect(QUICK), QUICK, "POST", wire.url, body={"qty": float("nan")})
    assert wire.asked == []


def test_exchange_never_sends_an_address_with_a_line_break(wire: Wire, connect: Connect) -> None:
    wire.answer(Scripted(200, b"[]"))
    session = connect(QUICK)
    for path in ("/a b\r\nX-Key: k", "/%3F/é?of=a b#part", ""):
        exchange(session, QUICK, "GET", wire.url + path)
    assert [(asked.path, "X-Key" in asked.headers) for asked in wire.asked] == [
        ("/a%20b%0D%0AX-Key:%20k", False),
        ("/%3F/%C3%A9", False),
        ("/", False),
    ]


def test_session_keeps_connections_and_replaces_closed_ones(wire: Wire, connect: Connect) -> None:
    wire.answer(Scripted(200, b"[1]"), Scripted(200, b"[2]", {"Connection": "close"}), Scripted(200, b"[3]"))
    session = connect(QUICK)
    assert [exchange(session, QUICK, "GET", wire.url).body for _ in range(4)] == [b"[1]", b"[2]", b"[3]", b"[3]"]
    assert wire.connections == 2


def test_tries_are_counted_waits_grow_and_the_last_failure_is_told() -> None:
    waits: list[float] = []
    tries: list[int] = []

    def failing() -> None:
        tries.append(1)
        raise RetryableError("not now")

    with pytest.raises(RetryableError, match="not now"):
        RetryPolicy(attempts=4, sleep=waits.append).run(failing)
    assert len(tries) == 4
    assert waits == sorted(waits)
    assert 0 < sum(waits) < 8


def test_no_try_begins_once_the_tries_before_it_took_the_whole_time() -> None:
    tries: list[int] = []

    def failing() -> None:
        tries.append(1)
        time.sleep(0.02)
        raise RetryableError("not now")

    with pytest.raises(RetryableError, match="not now"):
        RetryPolicy(total_s=0.01, sleep=lambda seconds: None).run(failing)
    assert len(tries) == 1


def test_nested_and_threaded_reads_count_their_own_tries() -> None:
    policy = RetryPolicy(attempts=3, sleep=lambda seconds: None)
    tries: list[str] = []

    def inner() -> str:
        tries.append("inner")
        if tries.count("inner") % 3:
            raise RetryableError("not now")
        return "read"

    def outer() -> str:
        tries.append("outer")
        with ThreadPoolExecutor() as threads:
            answers = {policy.run(inner), threads.submit(policy.run, inner).result()}
        if tries.count("outer") < 3:
            raise RetryableError("not now")
        return answers.pop()

    assert policy.run(outer) == "read"
    assert (tries.count("outer"), tries.count("inner")) == (3, 18)
