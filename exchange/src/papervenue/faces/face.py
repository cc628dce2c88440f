"""Define what an API of a venue is, and find APIs by name: our own, and those of installed packages.

A package provides an API as an entry point in the group `papervenue.faces` whose object is a Face. A market's file has
only the API's name. So no file in an exchange's folder can make it run code that isn't installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from papervenue.commands.command import Entry
from papervenue.faults.kinds import learn
from papervenue.market.spec import MarketError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from papervenue.exchange import Exchange
    from papervenue.faces.flow import FlowLimits, FlowSource
    from papervenue.faces.web import Route
    from papervenue.faults.streaming import StreamFaults
    from papervenue.market.venue import Venue
    from papervenue.socket_listeners import Conversation

GROUPS = ("papervenue.faces", "tradebot.exchange_faces")
"""The second one is what the group was called before papervenue became its own distribution."""
_OURS: Mapping[str, str] = MappingProxyType(
    {
        "alpaca": "papervenue.faces.alpaca",
        "flow": "papervenue.streams.flow_alerts",
        "kraken": "papervenue.faces.kraken.face",
        "tws": "papervenue.faces.tws.face",
    }
)
"""The modules of our own faces; each has a FACE."""


class Serving(NamedTuple):
    """What an API needs to run: the exchange, its flow if any, and what delivers stream messages, subject to faults."""

    exchange: Exchange
    feed: FlowSource | None
    delivery: StreamFaults
    flow_limits: FlowLimits | None


class Parts(NamedTuple):
    """The endpoints of an API: its routes, busiest first, and its websockets by path without a trailing slash.

    `lines` are additional listeners, each on its own port, by the name under which that port is reported.
    """

    routes: Iterable[Route]
    sockets: Mapping[str, ASGIApp] = {}
    lines: Mapping[str, Callable[[Any], Conversation]] = {}


class Login(StrEnum):
    """How a client identifies its account."""

    SECRET = "secret"
    """By a key and its secret."""
    BEARER = "bearer"
    """By a key alone."""
    NONE = "none"
    """For venues without logins: there is one account."""


class Face(NamedTuple):
    """An API of a venue, for one dialect.

    `entries` are its commands: the requests that change something, and that a restart replays. Orders are sent to the
    path `orders`. `kinds` maps the names that fault rules use to patterns of requests, such as `POST /v1/orders`.
    `serve` returns the endpoints once an exchange is served. `title` is the name for people. Clients log in with an
    account's key and with the account's secret, which `secret` converts for them.
    """

    dialect: str
    entries: tuple[Entry, ...]
    serve: Callable[[Serving], Parts]
    orders: str = ""
    kinds: Mapping[str, str] = {}
    title: str = ""
    login: Login = Login.SECRET
    secret: Callable[[str], str] = str


def faces_of(venue: Venue) -> tuple[Face, ...]:
    """Return the faces that a venue names; raise MarketError if one isn't installed or is for another dialect."""
    faces = tuple(map(_face, venue.faces))
    for face in faces:
        learn(face.kinds)
    for name, face in zip(venue.faces, faces, strict=True):
        if face.dialect != venue.dialect:
            raise MarketError(f"the API {name} has the dialect {face.dialect}, not {venue.dialect}", "name another API")
    return faces


def _face(name: str) -> Face:
    if name in _OURS:
        face: Face = import_module(_OURS[name]).FACE
        return face
    # Few exchanges need an installed face, and searching for one takes longer than everything else here.
    from importlib.metadata import entry_points

    for point in (each for group in GROUPS for each in entry_points(group=group, name=name)):
        command = point.load()
        assert isinstance(command, Face), point.value
        return command
    ours = ", ".join(_OURS)
    raise MarketError(f"no API {name!r} is installed", f"install the package that has it; the built-in ones are {ours}")
