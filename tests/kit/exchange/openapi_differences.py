"""Where the real API is known to differ from its own OpenAPI file, each with its source.

The rows about fields are all by which an answer may deviate from the file; the documentation prints both tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_SDK = "alpaca-py 0.44, whose models parse the real answers"
_OBSERVED = "answers of paper accounts"
_FILE = "the file's own example"
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": "string", "nullable": True}
_NULL = {"enum": [None]}
_ANNOUNCEMENT = "/v2/corporate_actions/announcements/{id}"
_REFUSED = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
    "additionalProperties": True,
}


class Difference(NamedTuple):
    """One field of one schema: what the API answers besides what the file says, and how that is known.

    A schema without its own name is named by the path whose GET answers it.
    """

    schema: str
    field: str
    also: dict[str, Any]
    what: str
    source: str

    def apply(self, document: dict[str, Any]) -> None:
        """Widen the field in a document."""
        fields = self.found(document)["properties"]
        known = fields.get(self.field)
        fields[self.field] = {"anyOf": [known, self.also]} if known else self.also

    def found(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the schema in a document; raises KeyError where it has none."""
        if not self.schema.startswith("/"):
            named: dict[str, Any] = document["components"]["schemas"][self.schema]
            return named
        answer = document["paths"][self.schema]["get"]["responses"]["200"]
        unnamed: dict[str, Any] = answer["content"]["application/json"]["schema"]
        return unnamed


def _extra(schema: str, field: str, source: str, also: dict[str, Any] | None = None) -> Difference:
    return Difference(schema, field, also or _TEXT, "present, although the file doesn't mention it", source)


TRADING_DIFFERENCES: tuple[Difference, ...] = (
    *(_extra("Order", field, _OBSERVED, _TEXT_OR_NULL) for field in ("source", "subtag")),
    *(_extra("OrderLeg", field, _OBSERVED, _TEXT_OR_NULL) for field in ("expires_at", "source", "subtag")),
    *(_extra("Account", field, _OBSERVED) for field in ("effective_buying_power", "position_market_value")),
    *(_extra("NonTradeActivities", field, _SDK) for field in ("description", "price")),
    *(_extra(_ANNOUNCEMENT, field, _SDK) for field in ("corporate_action_id", "ex_date")),
    Difference("NonTradeActivities", "date", {"type": "string", "format": "date"}, "a date, not a moment", _FILE),
    Difference("PositionClosedReponse", "body", _REFUSED, "the error object if closing was refused", _SDK),
    Difference("CanceledOrderResponse", "body", _REFUSED, "the error object if canceling was refused", _OBSERVED),
)

DATA_DIFFERENCES: tuple[Difference, ...] = tuple(
    Difference("stock_snapshot", field, _NULL, "null if there is none yet", _SDK)
    for field in ("latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar")
)


class Behaviour(NamedTuple):
    """Something other than a field in which the file is silent or contradicts itself, and what is done here."""

    topic: str
    file: str
    here: str
    source: str


BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "errors",
        "most paths document none",
        'the general object `{"code", "message"}` with 400, 401, 403, 404, 405, 422 or 429; a 401 has no code',
        _OBSERVED,
    ),
    Behaviour("since_id of an event stream", "history begins there", "starts after that event", "a choice made here"),
    Behaviour(
        "until of an event stream",
        "the stream ends there",
        "ends at once if engine time is already there",
        "a choice made here",
    ),
    Behaviour(
        "details of a streamed activity",
        "exactly one of 35 schemas, several of which are alike",
        "the schema for its kind",
        "a choice made here",
    ),
    Behaviour("order_class of a simple order", '`simple` or `""`', 'always `""`', _OBSERVED),
    Behaviour("numbers in an order's request", "strings only", "JSON numbers too", _SDK),
    Behaviour(
        "profit_loss of daily portfolio history",
        "text: from the base value; both examples: from the previous day",
        "from the previous day; from the base value with `pnl_reset=no_reset`",
        _FILE,
    ),
    Behaviour(
        "activity_sub_type of a stock borrow fee",
        "none is listed for FEE that fits",
        "`BRW`; a short rebate is `INT` and `CDT`, credited interest",
        "a choice made here",
    ),
    Behaviour("profit_loss_pct without any equity", "a number", "0", "a choice made here"),
    Behaviour(
        "easy_to_borrow of an asset",
        "deprecated, to be removed after 2026-09-22",
        "still present, because alpaca-py needs it",
        _SDK,
    ),
    Behaviour(
        "DELETE of an order that is being replaced",
        "an order may be canceled until it is filled, canceled or expired; `pending_replace` rejects it",
        "422 until the replacement has taken effect or was rejected; also while an exit is `held`",
        "the file's text on order statuses",
    ),
    Behaviour(
        "DELETE of a replacement in transit",
        "says nothing",
        "204, `pending_cancel`: it arrives after the replacement and cancels the resulting order, so that neither "
        "order is left; if the replacement is rejected, the old order keeps working",
        "a choice made here: requests arrive in the order they were sent, as in FIX's appendix D",
    ),
    Behaviour(
        "status in a `new` event of trade_updates",
        "says nothing",
        "`new`, or `pending_cancel` if a cancel of the order is already in transit when the order reaches the market",
        "a choice made here: every event shows the order as it is then",
    ),
    Behaviour(
        "filled_qty of a replacement",
        "says nothing",
        "0 until it takes effect, then what the old order had filled; `qty` counts those shares too",
        "a choice made here: a replacement that never takes effect has traded nothing",
    ),
    Behaviour(
        "buying power while an order is being replaced",
        "the larger of the two orders",
        "the larger one, compared again at each fill of the old order; a replacement reserves nothing once its old "
        "order is finished",
        "a choice made here: it can only be rejected",
    ),
    Behaviour("day-trading fields", "deprecated, removed after 2026-07-06", "removed; accepted in a PATCH", _FILE),
)
