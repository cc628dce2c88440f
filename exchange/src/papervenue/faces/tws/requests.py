"""List the messages of a client: what answers each, and what rules of faults know it by."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from papervenue.faces.tws import asking
from papervenue.faces.tws.orders import CANCEL, CANCEL_ALL, CHANGE, PLACE, ROOT
from papervenue.faces.tws.session import CANCEL_ORDER, PLACE_ORDER, START, Request, Session

_ORDERS, _ACCOUNT = f"GET {ROOT}/orders", f"GET {ROOT}/account"
REQUESTS: Mapping[int, Request] = MappingProxyType(
    {
        1: Request(f"GET {ROOT}/quotes", asking.quotes, 18, 2),
        2: Request(f"GET {ROOT}/end", asking.unfollow, 3),
        PLACE_ORDER: Request(f"POST {PLACE}", Session.place, 40, 1),
        CANCEL_ORDER: Request(f"DELETE {CANCEL}", Session.cancel, 3, 2),
        5: Request(_ORDERS, asking.own_orders),
        6: Request(_ACCOUNT, asking.account, 3),
        7: Request(f"GET {ROOT}/executions", asking.executions, 10, 2),
        8: Request(f"GET {ROOT}/ids", Session.ids),
        9: Request(f"GET {ROOT}/contracts", asking.details, 16, 2),
        15: Request(f"GET {ROOT}/ids", Session.nothing),
        16: Request(_ORDERS, asking.all_orders),
        17: Request(f"GET {ROOT}/ids", Session.accounts),
        20: Request(f"GET {ROOT}/bars", asking.bars, 22, 1),
        25: Request(f"GET {ROOT}/end", asking.unfollow, 3),
        49: Request(f"GET {ROOT}/clock", asking.now),
        50: Request(f"GET {ROOT}/bars/live", asking.live, 16, 2),
        51: Request(f"GET {ROOT}/end", asking.unfollow, 3),
        58: Request(f"DELETE {CANCEL_ALL}", Session.cancel_all),
        59: Request(f"GET {ROOT}/end", Session.nothing),
        61: Request(f"GET {ROOT}/positions", asking.positions),
        62: Request(_ACCOUNT, asking.summary, 5, 2),
        63: Request(f"GET {ROOT}/end", Session.nothing),
        64: Request(f"GET {ROOT}/end", asking.no_positions),
        START: Request(f"GET {ROOT}/session", Session.start, 3),
        76: Request(_ACCOUNT, asking.account_multi, 5, 2),
        77: Request(f"GET {ROOT}/end", Session.nothing),
        91: Request(f"GET {ROOT}/rules", asking.rule, 2),
        99: Request(f"GET {ROOT}/orders/completed", asking.completed),
    }
)
"""What answers each message of a client, by its number."""
KINDS = {
    "submit": rf"POST {PLACE}",
    "replace": rf"PATCH {CHANGE}",
    "cancel": rf"DELETE {CANCEL}",
    "cancel_all": rf"DELETE {CANCEL_ALL}",
    "orders": rf"GET {ROOT}/orders",
    "order": rf"GET {ROOT}/orders/completed",
    "account": rf"GET {ROOT}/account",
    "positions": rf"GET {ROOT}/positions",
    "activities": rf"GET {ROOT}/executions",
    "clock": rf"GET {ROOT}/clock",
    "assets": rf"GET {ROOT}/contracts",
    "quotes": rf"GET {ROOT}/quotes",
    "bars": rf"GET {ROOT}/bars(/live)?",
    "any data": rf"GET {ROOT}/(quotes|bars.*)",
}
"""What rules of faults call the requests of this face. Placing an order again that is open is a `replace`."""
