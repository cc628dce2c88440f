"""Requests are signed, their nonces rise, and what isn't signed is refused with HTTP 200 and an error inside."""

import base64

import pytest

from exchange.tests.kit.app import KEYS
from exchange.tests.kit.kraken import KEY, SECRET, V3, XBT, KrakenExchange, signature

ACCOUNTS = f"{V3}/accounts"


def error(
    desk: KrakenExchange, headers: object, target: str = ACCOUNTS, method: str = "GET", body: bytes | None = None
) -> str:
    answer = desk.world.ask(method, target, body, headers)  # type: ignore[arg-type]
    assert answer.status == 200
    return str(answer.json.get("error", answer.json["result"]))


def test_signature_is_that_of_the_documentation() -> None:
    # printf a=17/api/v3/x | openssl dgst -sha256 -binary | openssl dgst -sha512 -mac HMAC -macopt key:key -binary
    wanted = "TqebmFhKdB13Fm28euAYQKiyKSxCDUOEnQF9RxM76lWXCDSTBR5NHso1wKxI6nTT1SWCk+E2tw0zqWagEuw8Ew=="
    assert signature(base64.b64encode(b"key").decode(), "/api/v3/x", "a=1", "7") == wanted


@pytest.mark.parametrize("path", [ACCOUNTS, "/api/history/v2/orders", "/api/history/v3/account-log"])
def test_request_without_a_key_or_with_another_signature_is_refused(desk: KrakenExchange, path: str) -> None:
    assert error(desk, {}, path) == "authenticationError"
    assert error(desk, KEYS, path) == "authenticationError"
    right = desk.headers(path, "")
    for changed in ({"APIKey": "other"}, {"Authent": "AAAA"}, {"Nonce": "99"}, {"Authent": "\xff"}):
        assert error(desk, {**right, **changed}, path) == "authenticationError"
    assert desk.world.ask("GET", path, headers=right).json.get("error") is None


def test_signature_covers_query_form_and_path_as_they_are_sent(desk: KrakenExchange) -> None:
    signed = desk.headers(f"{V3}/fills", "lastFillTime=2026-11-24T00%3A00%3A00Z")
    assert error(desk, signed, f"{V3}/fills?lastFillTime=2026-11-25T00%3A00%3A00Z") == "authenticationError"
    assert error(desk, signed, f"{V3}/fills?lastFillTime=2026-11-24T00%3A00%3A00Z") == "success"
    signed = desk.headers(f"{V3}/cancelorder", "cliOrdId=a")
    assert error(desk, signed, f"{V3}/cancelorder", "POST", b"cliOrdId=b") == "authenticationError"
    assert error(desk, signed, f"{V3}/sendorder", "POST", b"cliOrdId=a") == "authenticationError"
    assert error(desk, signed, f"{V3}/cancelorder", "POST", b"cliOrdId=a") == "success"


def test_nonce_of_a_key_only_rises(desk: KrakenExchange) -> None:
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="10")) == "success"
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="10")) == "nonceDuplicate"
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="9")) == "nonceBelowThreshold"
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="x")) == "authenticationError"
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="11")) == "success"


def test_refused_signature_uses_no_nonce_up(desk: KrakenExchange) -> None:
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="50", Authent="AAAA")) == "authenticationError"
    assert error(desk, desk.headers(ACCOUNTS, "", nonce="49")) == "success"


def test_nonce_may_be_left_out_and_parameters_may_be_in_the_query(desk: KrakenExchange) -> None:
    path, sent = f"{V3}/sendorder", f"orderType=mkt&symbol={XBT}&side=buy&size=0.1"
    headers = {"APIKey": KEY, "Authent": signature(SECRET, path.removeprefix("/derivatives"), sent, "")}
    assert desk.world.ask("POST", f"{path}?{sent}", None, headers).json["sendStatus"]["status"] == "placed"
    assert desk.engine.main.qty(XBT) > 0


def test_key_may_trade_and_move_nothing_away(desk: KrakenExchange) -> None:
    path = "/api/auth/v1/api-keys/v3/check"
    reply = desk.get(path)
    assert (reply["apiKey"], reply["accountUid"]) == (KEY, desk.engine.main.number)
    assert reply["permissions"] == {"general": "FULL_ACCESS", "transfer": "NO_ACCESS"}
    answer = desk.world.ask("GET", path, headers=KEYS)
    assert (answer.status, answer.json["error"]) == (401, "authenticationError")


def test_what_is_public_needs_no_key(desk: KrakenExchange) -> None:
    for path in ("instruments", "tickers", f"tickers/{XBT}", f"orderbook?symbol={XBT}"):
        assert error(desk, {}, f"{V3}/{path}") == "success"
    assert "candles" in desk.world.ask("GET", f"/api/charts/v1/trade/{XBT}/1d", headers={}).json
