"""Define a face, an API of a venue, and find faces by name: ours, and those that installed packages bring.

A package brings one as an entry point of the group `papervenue.faces` whose object is a Face. A market's file
holds only its name, so that no file of an exchange's folder can name code that isn't installed.
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
"""The second one is what the group was called before this was a distribution of its own."""
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
    """What a face serves from: the exchange, its flow if it has any, and what delivers stream messages under faults."""

    exchange: Exchange
    feed: FlowSource | None
    delivery: StreamFaults
    flow_limits: FlowLimits | None


class Parts(NamedTuple):
    """What a face answers: routes of requests, busiest first, and the websockets of paths without a last slash.

    `lines` are what else it listens for, each on a port of its own, by the name under which the port is told.
    """

    routes: Iterable[Route]
    sockets: Mapping[str, ASGIApp] = {}
    lines: Mapping[str, Callable[[Any], Conversation]] = {}


class Login(StrEnum):
    """How a client says whose account it asks about."""

    SECRET = "secret"
    """By a key and its secret."""
    BEARER = "bearer"
    """By a key alone."""
    NONE = "none"
    """Not at all: there is one account."""


class Face(NamedTuple):
    """An API of a venue that speaks a dialect.

    `entries` are the commands that it runs: requests that change something, which a restart runs again. Orders are sent
    to the path `orders`. `kinds` are patterns of requests, such as `POST /v1/orders`, by the names that rules of faults
    have for kinds. `serve` returns what it answers once an exchange is served. People are told its `title`. Clients log
    in with an account's key, and with what `secret` makes of the account's secret.
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
    """Return the faces that a venue names; raise MarketError if one is missing or speaks another dialect."""
    faces = tuple(map(_face, venue.faces))
    for face in faces:
        learn(face.kinds)
    for name, face in zip(venue.faces, faces, strict=True):
        if face.dialect != venue.dialect:
            raise MarketError(f"the face {name} speaks {face.dialect}, not {venue.dialect}", "name another face")
    return faces


def _face(name: str) -> Face:
    if name in _OURS:
        face: Face = import_module(_OURS[name]).FACE
        return face
    # Few exchanges need what is installed, and looking for it takes longer than all the rest of this.
    from importlib.metadata import entry_points

    for point in (each for group in GROUPS for each in entry_points(group=group, name=name)):
        command = point.load()
        assert isinstance(command, Face), point.value
        return command
    ours = ", ".join(_OURS)
    raise MarketError(f"no face {name!r} is installed", f"install the package that brings it; ours are {ours}")
