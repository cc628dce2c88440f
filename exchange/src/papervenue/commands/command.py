"""Define a command, the request passed to its handler, and the table that maps commands to handlers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Policy
from papervenue.jsontext import decode_object, encode
from papervenue.refusal import Refusal, not_found

_NAME = re.compile(r"\{(\w+)\}")

Answer = tuple[int, bytes]
"""A status and a body."""


class Command(NamedTuple):
    """One request that may change the exchange, as it arrived.

    `account` is the caller's account number; it is empty for control requests. `effects` is a JSON list of what fault
    scripts decided about the request.
    """

    method: str
    path: str
    query: str = ""
    body: str = ""
    account: str = ""
    effects: str = ""


class CommandArguments(NamedTuple):
    """A command as its handler gets it; `names` has the named parts of the path."""

    command: Command
    engine: Engine
    names: Mapping[str, str]

    @property
    def account(self) -> Account:
        """Return the caller's account; raise the 401 Refusal if it no longer exists."""
        account = self.engine.accounts.get(self.command.account)
        if account is None:
            raise Refusal(401, {"message": "unauthorized."})
        return account

    @property
    def query(self) -> dict[str, str]:
        """Return the query parameters; if a name is repeated, its last value counts."""
        return dict(parse_qsl(self.command.query, keep_blank_values=True))

    @property
    def body(self) -> dict[str, Any]:
        """Return the body, a JSON object; raise a 400 Refusal if it is anything else."""
        return decode_object(self.command.body)

    @property
    def effects(self) -> list[dict[str, Any]]:
        effects: list[dict[str, Any]] = json.loads(self.command.effects or "[]")
        return effects

    @property
    def fate(self) -> str | None:
        return next((str(effect["fate"]) for effect in self.effects if "fate" in effect), None)

    @property
    def policy(self) -> Policy:
        """Return the policy that fault scripts set for this command; if two scripts disagree, the later one applies."""
        decided: dict[str, Any] = {}
        for effect in self.effects:
            decided |= effect.get("policy", {})
        return Policy(**decided)

    @property
    def acknowledgement(self) -> tuple[int, str] | None:
        """Return by how much a script delays this order's acknowledgment, and the order's status until then.

        Returns None if no script does.
        """
        delays = (effect["acknowledged"] for effect in self.effects if "acknowledged" in effect)
        return next(((late_us, status) for late_us, status in delays), None)


Handler = Callable[[CommandArguments], Answer]


class Entry(NamedTuple):
    """A row of the command table: method, path and handler; `{name}` in the path matches one segment."""

    method: str
    path: str
    handler: Handler


class Commands:
    def __init__(self, engine: Engine, entries: Iterable[Entry]) -> None:
        self._engine = engine
        table = [*entries]
        self._plain = {(entry.method, entry.path): entry.handler for entry in table}
        self._patterns = [(entry.method, _pattern(entry.path), entry.handler) for entry in table if "{" in entry.path]

    def run(self, command: Command) -> tuple[Answer, Refusal | None]:
        """Run a command, and return its response and the refusal, if any, so that the caller can log it."""
        try:
            handler, names = self._find_handler(command)
            return handler(CommandArguments(command, self._engine, names)), None
        except Refusal as refusal:
            return (refusal.status, encode(refusal.body)), refusal

    def _find_handler(self, command: Command) -> tuple[Handler, Mapping[str, str]]:
        handler = self._plain.get((command.method, command.path))
        if handler is not None:
            return handler, {}
        for method, pattern, matched in self._patterns:
            names = pattern.fullmatch(command.path) if method == command.method else None
            if names:
                return matched, {name: unquote(value) for name, value in names.groupdict().items()}
        raise not_found("endpoint not found")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_NAME.sub(r"(?P<\1>[^/]+)", path))
