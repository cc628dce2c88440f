"""Serve options flow from the exchange's own feed; replies are parsed like the real source's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlencode

from papervenue.engine.engine import Engine
from papervenue.faces.flow import Ask, FlowFace, refuse_flow
from papervenue.faces.web import Call, route
from papervenue.flow.captured import CapturedFlow
from papervenue.flow.derived import DerivedFlow
from papervenue.flow.series import Row
from papervenue.market.bars import Market
from papervenue.market.spec import MarketSpec
from papervenue.refusal import Refusal
from papervenue.times import to_datetime
from tradebot.adapters.flow.unusual_whales import quota_of, read_rows, request_of
from tradebot.adapters.wire.http import HttpReply, decode
from tradebot.app.sandbox import translate_exchange_errors
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowPage

_HEADERS = {"authorization": "Bearer backtest"}
_OK = 200


class _Question(NamedTuple):
    """One request to the feed, and the function that answers it."""

    call: Call
    ask: Ask


class _Reply(NamedTuple):
    """The rows of a reply, as encoded by the feed and as parsed."""

    encoded: Sequence[bytes]
    rows: tuple[object, ...]


_NO_REPLY = _Reply([], ())


class EngineFlow:
    """A market's flow feed as of the engine's time. Generated flow predicts the market's prices, or those of
    `predicted`.

    It has no rate limits and never fails. If a row was already in the last reply about the same kind and symbol, the
    same object is returned again; so is the whole list if it hasn't changed.
    """

    def __init__(self, engine: Engine, spec: MarketSpec, predicted: Market | None = None) -> None:
        self._engine = engine
        with translate_exchange_errors():
            captured = CapturedFlow(Path(spec.uw_folder)) if spec.uw_folder is not None else None
        derived = DerivedFlow(predicted or engine.market, spec.seed, spec.edge)
        self._face = FlowFace(engine, captured or derived)
        self._asks = self._face.asks()
        self._session: date | None = None
        self._questions: dict[tuple[str, str | None], _Question] = {}
        self._last: dict[tuple[str, str | None], _Reply] = {}

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        """Return the feed's reply about one kind of facts in a session; `symbol` is None if the kind is market-wide."""
        call, ask = self._question(kind, symbol, session)
        headers, row = self._face.count_request(call, ask)
        quota, now = quota_of(headers), to_datetime(self._engine.now_us)
        if not isinstance(row, Refusal) and (kind.single or not row.single):
            return FlowPage(kind.name, symbol, self._decode_rows((kind.name, symbol), row.rows), quota, now, _OK)
        status, body, _, _ = refuse_flow(row, {}) if isinstance(row, Refusal) else (_OK, row.encode(), None, None)
        rows = read_rows(call.raw_path, HttpReply(status, headers, body), single=kind.single)
        return FlowPage(kind.name, symbol, rows, quota, now, status)

    def calls_left(self) -> int | None:
        return None

    def _question(self, kind: AnyKind, symbol: str | None, session: date) -> _Question:
        """Return the request about one kind and symbol, which stays the same throughout a session."""
        if session != self._session:
            self._session, self._questions = session, {}
        key = kind.name, symbol
        if key not in self._questions:
            request = request_of(kind, symbol, session)
            ask, names = _ask_of(self._asks, unquote(request.path))
            call = Call("GET", request.path, urlencode(request.params), names, _HEADERS, "")
            self._questions[key] = _Question(call, ask)
        return self._questions[key]

    def _decode_rows(self, key: tuple[str, str | None], rows: Sequence[Row]) -> tuple[object, ...]:
        encoded, last = [text for _, _, text in rows], self._last.get(key, _NO_REPLY)
        if encoded == last.encoded:
            return last.rows
        before = dict(zip(last.encoded, last.rows, strict=True))
        new = [text for text in encoded if text not in before]
        rows_by_text = before | dict(zip(new, _read(new), strict=True)) if new else before
        decoded = tuple([rows_by_text[text] for text in encoded])
        self._last[key] = _Reply(encoded, decoded)
        return decoded


def _read(encoded: Sequence[bytes]) -> Sequence[object]:
    decoded = decode(b"[" + b",".join(encoded) + b"]")
    assert isinstance(decoded, list), "rows of the feed are JSON"
    return decoded


def _ask_of(asks: Mapping[str, Ask], path: str) -> tuple[Ask, Mapping[str, str]]:
    """Return the function that answers a path, and the values of its names; a path without names takes precedence."""
    for asked_path in sorted(asks, key=lambda path: "{" in path):
        names = route(asked_path).names(path)
        if names is not None:
            return asks[asked_path], names
    raise AssertionError(f"the feed has no {path}")
