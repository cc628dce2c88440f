"""Identify the account that a request's key and secret belong to."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from papervenue.commands.command import Command
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.faces.web import Call
from papervenue.refusal import Refusal

_BASIC, _BEARER = "basic ", "bearer "


class Credentials(NamedTuple):
    key_id: str
    secret: str


def account_of(call: Call, engine: Engine) -> Account:
    """Return the caller's account; raise the 401 Refusal if no account has this key and secret."""
    account = account_with(credentials_of(call.headers), engine)
    if account is None:
        raise unauthorized_refusal()
    return account


def account_with(shown: Credentials | None, engine: Engine) -> Account | None:
    if shown is None:
        return None
    opened = (account for account in engine.accounts.values() if account.key_id == shown.key_id)
    secret = shown.secret.encode(errors="replace")
    return next((account for account in opened if hmac.compare_digest(account.secret.encode(), secret)), None)


def credentials_of(headers: Mapping[str, str]) -> Credentials | None:
    """Return the credentials in Alpaca's two headers or in basic or bearer authentication; None if there are none.

    An account's key here is also its secret, so that one word can serve as an OAuth client's token.
    """
    key_id, secret = headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
    if key_id and secret:
        return Credentials(key_id, secret)
    given = headers.get("authorization", "")
    if given.lower().startswith(_BEARER):
        token = given[len(_BEARER) :].strip()
        return Credentials(token, token)
    return _basic(given[len(_BASIC) :]) if given.lower().startswith(_BASIC) else None


def command_of(call: Call, account: Account | None = None) -> Command:
    number = account.number if account else ""
    return Command(call.method, call.raw_path, call.raw_query, call.body, number, call.effects)


def _basic(encoded: str) -> Credentials | None:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    key_id, colon, secret = text.partition(":")
    return Credentials(key_id, secret) if colon else None


def unauthorized_refusal() -> Refusal:
    """Return the 401 that Alpaca gives, which has no code."""
    return Refusal(401, {"message": "unauthorized."})
