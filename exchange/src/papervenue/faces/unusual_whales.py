"""Serve the flow API of Unusual Whales and its stream of alerts."""

from __future__ import annotations

from papervenue.faces.face import Face, Login, Parts, Serving
from papervenue.faces.flow import FlowFace
from papervenue.streams.flow_alerts import PATH, FlowAlertStream


def _serve(serving: Serving) -> Parts:
    exchange, feed = serving.exchange, serving.feed
    assert feed is not None
    alerts = FlowAlertStream(exchange.engine, feed, serving.delivery)
    exchange.moved.append(lambda from_us, to_us: alerts.wake())
    return Parts(FlowFace(exchange.engine, feed, serving.flow_limits).routes(), {PATH: alerts})


FACE = Face("alpaca", (), _serve, title="options flow (Unusual Whales' API)", login=Login.BEARER)
