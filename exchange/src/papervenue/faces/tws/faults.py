"""Answer a client's requests as the armed fault rules say: wrongly, late, truncated, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from papervenue.faces.tws.order_messages import error
from papervenue.faces.tws.wire import TwsMessage, frame
from papervenue.faults import fault_bodies
from papervenue.faults.apply_faults import earlier_account
from papervenue.faults.armed_rules import RuleFiring
from papervenue.faults.fault_state import LATE, effects_of
from papervenue.faults.kinds import Facts
from papervenue.times import SECOND

if TYPE_CHECKING:
    from papervenue.faces.tws.session import TwsSession

_DECIDING = ("answer", "order")
_IN_FIELDS = ("unknown_enum", "missing_field", "wrong_value")
_CODE, _NOT_CONNECTED = 322, 504
_CLOCK = 49
_RESTLESS = {"limit_price": "lmtPrice", "qty": "totalQuantity"}
"""The numeric fields of an order that a fault may change at each reading; no message has a time of change."""
_WORDS = ("Submitted", "PreSubmitted", "PendingSubmit", "PendingCancel")

Answer = Iterable[TwsMessage]
CarriedOut = Callable[[], Answer]


class RequestHandling:
    """Handles one client's requests under the armed fault rules; while it is `mute`, the client receives nothing."""

    def __init__(self, session: TwsSession) -> None:
        self._session = session
        self.mute = False
        self.end_after = False

    def answer(self, target: str, number: int, fields: list[str], carry_out: CarriedOut) -> None:
        """Execute a request and send its response."""
        gateway = self._session.gateway
        book = gateway.exchange.faults.book
        self._session.effects = ""
        if not book.on_requests:
            self._send(carry_out())
        else:
            facts = self._session.facts(target, number, fields)
            self._under(facts, book.firings(facts, gateway.engine.now_us), carry_out)
        if self.end_after:
            self._session.end()

    def _under(self, facts: Facts, firings: list[RuleFiring], carry_out: CarriedOut) -> None:
        gateway = self._session.gateway
        deciding = next((firing for firing in firings if firing.role in _DECIDING), None)
        self._session.effects = effects_of(firings, facts, gateway.engine.now_us)
        tinted = self._tint(firings, carry_out)
        if deciding is None:
            self._send(tinted())
        else:
            self._apply_decision(deciding, tinted)

    def _send(self, messages: Answer) -> None:
        tws_messages = [*messages]
        self._session.line.record()
        for message in tws_messages:
            self._session.tell(message)

    def _carried_out(self, carry_out: CarriedOut) -> list[TwsMessage]:
        """Carry out a request without telling the client anything yet."""
        before, self.mute = self.mute, True
        tws_messages = [*carry_out()]
        self._session.line.record()
        self.mute = before
        return tws_messages

    def _apply_decision(self, firing: RuleFiring, carry_out: CarriedOut) -> None:
        settings: Mapping[str, Any] = firing.rule.settings
        fault = firing.rule.fault
        if fault in ("reset", "hang", "status", "html_body", "empty_body", "error_inside", "redirect"):
            after = "after" in (settings.get("acceptance"), settings["value"] if fault == "reset" else None)
            tws_messages = self._carried_out(carry_out) if after else []
            self._damage_connection(fault, settings, tws_messages)
        elif fault == "reply_lost":
            self._carried_out(carry_out)
            self._session.end()
        elif fault == "truncated_json":
            self._cut_short(self._carried_out(carry_out), settings)
        elif fault == "connection_lost":
            self._session.gateway.lose(settings["value"], settings["back"])
        elif fault in ("expired_keys", "not_found"):
            self._send([error(-1, _NOT_CONNECTED if fault == "expired_keys" else _CODE, "Not connected")])
        else:
            self._send(carry_out())
            if LATE in self._session.effects and settings["answer"] in ("lost", "reset"):
                self._session.end()

    def _damage_connection(self, fault: str, settings: Mapping[str, Any], tws_messages: list[TwsMessage]) -> None:
        if fault == "reset":
            self._session.end()
        elif fault == "hang":
            self.mute = True
            self._session.line.later(settings["value"] / SECOND, lambda: self._after(settings, tws_messages))
        elif fault != "empty_body":
            self._session.tell(error(-1, _CODE, f"Error processing request.-'bT' : {settings.get('value') or fault}"))

    def _after(self, settings: Mapping[str, Any], tws_messages: list[TwsMessage]) -> None:
        """End a silence: close the connection, or send the late response."""
        self.mute = False
        if settings["then"] == "close":
            self._session.end()
        else:
            self._send(tws_messages)

    def _cut_short(self, tws_messages: list[TwsMessage], settings: Mapping[str, Any]) -> None:
        """Send the first bytes of the first message, framed either as a complete message or as the beginning of one."""
        for message in tws_messages[:1]:
            payload = message.payload(self._session.version)
            length = len(payload) // 2 if settings["value"] is None else settings["value"]
            if settings["connection"] == "closed":
                self._session.line.send(frame(payload)[: 4 + length])
                self._session.end()
                return
            self._session.line.send(frame(payload[:length]))
        self._send(tws_messages[1:])

    def _tint(self, firings: list[RuleFiring], carry_out: CarriedOut) -> CarriedOut:
        data = [firing for firing in firings if firing.role == "data"]

        def changed_answer() -> Answer:
            then = next((firing for firing in data if firing.rule.fault == "stale_account"), None)
            messages = [*carry_out()] if then is None else self._as_then(then, carry_out)
            for firing in data:
                messages = [tws_message for message in messages for tws_message in _change_message(message, firing)]
            return messages

        return changed_answer if data else carry_out

    def _as_then(self, firing: RuleFiring, carry_out: CarriedOut) -> list[TwsMessage]:
        """Return the response as of a past time."""
        gateway = self._session.gateway
        age_us = firing.rule.settings["value"]
        then_us = firing.since_us if age_us is None else gateway.engine.now_us - age_us
        with earlier_account(gateway.engine, gateway.account.number, then_us):
            return [*carry_out()]


def _change_message(message: TwsMessage, firing: RuleFiring) -> Iterator[TwsMessage]:
    fault, settings = firing.rule.fault, firing.rule.settings
    fields = dict(message.fields)
    if fault == "missing_field" and fields.get("key") == settings["value"]:
        return
    if fault in _IN_FIELDS:
        yield TwsMessage(message.number, fault_bodies.in_fields(fault, fields, settings))
    elif fault == "clock_skew" and message.number == _CLOCK:
        yield TwsMessage(message.number, fields | {"time": fields["time"] + settings["value"] // SECOND})
    elif not ("contract" in fields or "localSymbol" in fields) or not _matches(fields, settings):
        yield message
    elif fault == "opposite_side" and "position" in fields:
        yield TwsMessage(message.number, fields | {"position": -fields["position"]})
    elif fault == "restless_orders":
        yield TwsMessage(message.number, fields | _restless(fields, settings["value"], firing.number))
    elif fault == "repeated_rows":
        yield from (message, message)
    elif fault != "missing_rows":
        yield message


def _restless(fields: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    """Return the order's field that differs at each reading, if the order has it."""
    if name == "status" and "status" in fields:
        return {"status": _WORDS[number % len(_WORDS)]}
    field = _RESTLESS.get(name, "")
    return {field: fields[field] + number} if fields.get(field) else {}


def _matches(fields: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    there = {"symbol": fields.get("contract", fields)["localSymbol"], "client_order_id": fields.get("orderRef", "")}
    return all(fnmatchcase(value, settings.get(name, "*")) for name, value in there.items())
