"""The roads to a venue: how requests of this process reach its exchange, and how they and their answers are watched."""

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Protocol

import pytest

from tests.kit.exchange.cable import PORT, is_change, lay_cable
from tests.kit.exchange.wire import Whole, Wire, lead
from tradebot.adapters.ibkr.link import Patience
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.exchange.commands.control import ACCOUNTS, MAIN, RESET
from tradebot.exchange.exchange import Exchange
from tradebot.model.values import replace

AT_ONCE = RetryPolicy(attempts=3, sleep=lambda seconds: None)


def truth(body: Any) -> Any:
    """Return the body of an answer as it is."""
    return body


class Road(Protocol):
    """One way to an exchange.

    `sent` has every request that would change something, whether or not it arrives, and `requests` counts all. `lie`
    changes the body of each answer. An answer's `status` may be replaced by one of the `statuses`, if it has any. A
    read is tried again after `breaks` requests in a row that broke.
    """

    sent: list[object]
    requests: int
    lie: Callable[[Any], Any]
    status: int | None
    statuses: Sequence[int]
    breaks: int

    @abstractmethod
    def lay(self, patch: pytest.MonkeyPatch) -> None:
        """Lead this process's requests along it."""

    @abstractmethod
    def connect(self, exchange: Exchange) -> None:
        """Lead to an exchange."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    @abstractmethod
    def account(self, name: str) -> str:
        """Return the name of the account that a new test has."""

    @abstractmethod
    def opening(self, name: str, cash: Decimal) -> tuple[str, Mapping[str, str]]:
        """Return where that account is asked for, and with what."""

    @abstractmethod
    def quick(self, connection: Any) -> Any:
        """Return a connection that doesn't wait between its tries."""

    @abstractmethod
    def ports(self) -> Mapping[str, int]:
        """Return the exchange's other ports."""

    def calm(self) -> None:
        """Let answers be what they are."""
        self.lie, self.status = truth, None


class Http(Road):
    """Requests and answers; each account has a key."""

    statuses, breaks = (302, 408, 429, 500, 503, 504), 2

    def __init__(self) -> None:
        self.sent, self.requests = [], 0
        self.calm()
        self._wire = Wire()

    def lay(self, patch: pytest.MonkeyPatch) -> None:
        lead(patch, self._urlopen)

    def connect(self, exchange: Exchange) -> None:
        self._wire.connect(exchange, lambda method, path, body: self.sent.append((method, path)))

    def close(self) -> None:
        self._wire.close()

    def account(self, name: str) -> str:
        return name

    def opening(self, name: str, cash: Decimal) -> tuple[str, Mapping[str, str]]:
        return ACCOUNTS, {"name": name, "cash": str(cash)}

    def quick(self, connection: Any) -> Any:
        return replace(connection, policy=AT_ONCE)

    def ports(self) -> Mapping[str, int]:
        return {}

    def _urlopen(self, method: str, url: str, body: bytes | None, *rest: Any, **named: Any) -> Any:
        """Carry a request to the exchange, and its answer back."""
        self.requests += 1
        answer = self._wire.send(method, url, body, *rest, **named)
        if not isinstance(answer, Whole) or (self.lie is truth and self.status is None):
            return answer
        content = answer.read1(0)
        with suppress(ValueError):
            content = json.dumps(self.lie(json.loads(content))).encode()
        return Whole(self.status or answer.status, answer.headers, content)


class Socket(Road):
    """Messages over a socket, whose login has one account: each test begins with it anew."""

    statuses, breaks = (), 1

    def __init__(self) -> None:
        self.sent, self.requests = [], 0
        self.calm()
        self._link: Any = None

    def lay(self, patch: pytest.MonkeyPatch) -> None:
        self._cable = lay_cable(patch.setattr)

    def connect(self, exchange: Exchange) -> None:
        self._cable.connect(exchange, self._asked)

    def _asked(self, fields: Sequence[str]) -> None:
        self.requests += 1
        if is_change(fields):
            self.sent.append(tuple(fields[:2]))
        self._cable.lie = None if self.lie is truth else self.lie

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    def account(self, name: str) -> str:
        self.close()
        return MAIN

    def opening(self, name: str, cash: Decimal) -> tuple[str, Mapping[str, str]]:
        return RESET, {"account": name, "cash": str(cash)}

    def quick(self, connection: Any) -> Any:
        self._link = connection.link
        self._link.policy = AT_ONCE
        self._link.patience = Patience(0.5, 0.5, 0.5, 0.5)
        return connection

    def ports(self) -> Mapping[str, int]:
        return {"tws": PORT}
