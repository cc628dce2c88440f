"""Serve the TWS API on a socket of its own."""

from __future__ import annotations

from papervenue.faces.face import Face, Login, Parts, Serving
from papervenue.faces.tws import orders
from papervenue.faces.tws.gateway import Gateway, Line
from papervenue.faces.tws.requests import KINDS, REQUESTS
from papervenue.faces.tws.session import Session


def _parts(serving: Serving) -> Parts:
    gateway = Gateway(serving.exchange, serving.delivery)

    def opened(line: Line) -> Session:
        return Session(gateway, line, REQUESTS)

    return Parts((), lines={"tws": opened})


FACE = Face(
    "plain",
    orders.ENTRIES,
    _parts,
    orders=orders.PLACE,
    kinds=KINDS,
    title="orders and prices (the TWS API of Interactive Brokers), with any client id",
    login=Login.NONE,
)
