"""Who is let in: programs of this machine, and no web page but the exchange's own."""

from typing import Any

import pytest

from papervenue.faces.guard import KEYLESS, PAGE_DATA, PAGE_HEADER, ControlCredentials, refusal_reason

OWN = "http://127.0.0.1:8787"
KEY = "the page's key"
PAGE = {PAGE_HEADER.lower(): KEY}


def objection_to(method: str = "GET", path: str = "/v2/orders", kind: str = "http", **headers: str) -> str | None:
    named: list[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": kind, "path": path, "headers": named}
    return refusal_reason(scope | ({} if kind == "websocket" else {"method": method}), ControlCredentials(KEY))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8787", "localhost:1", "LOCALHOST", "[::1]:8787", "[::1]"])
def test_every_name_of_this_machine_is_served(host: str) -> None:
    assert objection_to(host=host) is None
    assert objection_to("POST", host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.1:", "10.0.0.1", "", "::1"),
        *("user@127.0.0.1", "127.0.0.1:99999999", "localhost:8787 ", "127.0.0.1, evil.example", "0x7f.1", "127.1"),
    ],
)
def test_every_other_host_is_refused_whatever_it_asks(host: str) -> None:
    for method, path in (("GET", "/v2/clock"), ("POST", "/v2/orders"), ("GET", "/")):
        assert "Host" in (objection_to(method, path, host=host) or "")
    assert objection_to(kind="websocket", path="/stream", host=host)


def test_one_good_host_beside_a_bad_one_does_not_help() -> None:
    hosts = [(b"host", b"localhost"), (b"host", b"x.example")]
    assert refusal_reason({"type": "http", "method": "GET", "path": "/", "headers": hosts}, ControlCredentials(KEY))


FOREIGN = [
    *("https://evil.example", "null", "", "http://127.0.0.1:9999", "https://127.0.0.1:8787", "http://localhost"),
    *("http://127.0.0.1:8787/", "http://127.0.0.1:8787.evil.example"),
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_changes_nothing_and_listens_to_nothing(origin: str) -> None:
    headers = {"host": "127.0.0.1:8787", "origin": origin, **PAGE}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert objection_to(method, **headers)
    assert objection_to("GET", PAGE_DATA, **headers)
    assert objection_to(kind="websocket", path="/stream", **headers)
    assert objection_to("GET", "/v2/clock", **headers) is None


@pytest.mark.parametrize("origin", [OWN, "http://localhost:8787", "HTTP://127.0.0.1:8787".lower()])
def test_the_own_page_may_do_all_of_it(origin: str) -> None:
    headers = {"host": "127.0.0.1:8787", "origin": origin}
    assert objection_to("POST", "/exchange/v1/tick", **headers, **PAGE) is None
    assert objection_to("POST", "/v2/orders", **headers) is None
    assert objection_to("GET", PAGE_DATA, **headers) is None
    assert objection_to(kind="websocket", path="/stream", **headers) is None


def test_a_client_that_is_no_browser_is_served() -> None:
    assert objection_to("POST", host="127.0.0.1:8787") is None
    assert objection_to(kind="websocket", path="/stream", host="127.0.0.1:8787") is None
    assert objection_to("POST") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_is_told_by_sec_fetch_site_alone(site: str) -> None:
    headers = {"host": "127.0.0.1:8787", "sec-fetch-site": site, **PAGE}
    for method in ("POST", "DELETE"):
        assert objection_to(method, "/exchange/v1/faults", **headers) == "a web page from another origin can't do this"
    assert objection_to("GET", PAGE_DATA, **headers)
    # A link to the page may be on any site.
    assert objection_to("GET", "/", **headers) is None


@pytest.mark.parametrize("sign", [{"origin": OWN}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
@pytest.mark.parametrize("key", [{}, {PAGE_HEADER.lower(): ""}, {PAGE_HEADER.lower(): KEY + "x"}])
def test_a_browser_controls_nothing_without_the_page_key(sign: dict[str, str], key: dict[str, str]) -> None:
    headers = {"host": "127.0.0.1:8787", **sign}
    for method, path in (
        ("POST", "/exchange/v1/tick"),
        ("DELETE", "/exchange/v1/faults"),
        ("POST", "/exchange/v1/stop"),
    ):
        assert objection_to(method, path, **headers, **key) == KEYLESS
        assert objection_to(method, path, **headers, **PAGE) is None


def test_two_page_keys_are_none() -> None:
    keys = [(PAGE_HEADER.lower().encode(), KEY.encode())] * 2
    named = [(b"host", b"localhost"), (b"origin", b"http://localhost"), *keys]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/exchange/v1/tick", "headers": named}
    assert refusal_reason(scope, ControlCredentials(KEY)) == KEYLESS
