"""Random commands to a whole exchange, through its application: everything that can change one, faults included."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from exchange.tests.kit.app import KEYS, World
from exchange.tests.kit.pit import Bars
from papervenue.chance import random_stream
from papervenue.engine.orders import Order
from papervenue.market.bars import UNITS, Bar
from papervenue.market.sessions import Calendar, session_of
from papervenue.times import MINUTE, at_new_york

# A small, rough market at random: two sessions of half an hour, and bars that walk about ten dollars.

SYMBOLS = ("AAA", "BBB")
DAYS = ("2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06", "2025-03-07")
MINUTES, AROUND = 30, 15
"""Minutes of a session, and of trading before its open and after its close."""
FIRST_PRICE = 10 * UNITS
CENT = UNITS // 100


class Walk(Bars):
    """Bars of a random walk near ten dollars: some minutes are missing, some have no volume, most very little."""

    def __init__(self, seed: int, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days = {
            (symbol, index): _minutes(random_stream(seed, symbol, index), session.open_us - AROUND * MINUTE)
            for symbol in SYMBOLS
            for index, session in enumerate(calendar.market)
        }

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        session = self._calendar.market[index]
        return tuple(b for b in self._days[symbol, index] if session.open_us <= b.start_us < session.close_us)

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return tuple(b for b in self._days[symbol, index] if b not in self.bars(symbol, index))

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return FIRST_PRICE


def _minutes(rng: Random, first_us: int) -> tuple[Bar, ...]:
    price, bars = FIRST_PRICE + rng.randint(-20, 20) * CENT, []
    for minute in range(AROUND + MINUTES + AROUND):
        first = price + rng.choice((0, 0, 0, 1, -2, 9, -9)) * CENT
        price = max(5 * UNITS, first + rng.randint(-8, 8) * CENT)
        high, low = max(first, price) + rng.randint(0, 5) * CENT, min(first, price) - rng.randint(0, 5) * CENT
        volume = rng.choice((0, 4, 15, 39, 80, 400))
        if rng.random() > 0.1:
            bars.append(Bar(first_us + minute * MINUTE, first, high, low, price, volume))
    return tuple(bars)


def small_calendar() -> Calendar:
    opens = [at_new_york(day, 9, 30) for day in DAYS]
    sessions = [session_of((day, us, us + MINUTES * MINUTE)) for day, us in zip(DAYS, opens, strict=True)]
    return Calendar(sessions, first=1, count=2)


FAULTS = (
    {"when": {"request": "submit", "every": 3}, "what": "reject_after_acceptance"},
    {"when": {"request": "submit", "from": 2, "every": 2, "at_most": 5}, "what": "partial_then_cancel"},
    {"when": {"request": "submit", "probability": 0.5, "seed": 7}, "what": {"late_arrival": "90s", "answer": 504}},
    {"when": {"request": "submit", "symbol": "SPY"}, "what": {"delivered_twice": None}},
    {"when": {"request": "cancel", "nth": [1, 3]}, "what": "fill_during_cancel"},
    {"when": {"request": "submit", "symbol": "A*", "nth": 2}, "what": {"halt_symbol": "5m"}},
    {"when": {"symbol": "AAPL", "after": "open+10m", "until": "close-1h"}, "what": "halt_symbol"},
    {"when": {"request": "account", "from": 2}, "what": {"status": 503}},
    {"when": {"request": "submit"}, "what": {"exits_told_late": "4m"}},
    {"when": {"request": "submit"}, "what": "legs_shown_held"},
    {"when": {"request": "replace"}, "what": "replace_starts_over"},
    {"when": {"request": ["cancel", "cancel_all"]}, "what": {"shares_freed_late": "90s"}},
)
OPTION = "AAPL250304C00200000"


class Commands:
    """Sends one random command at a time to a world whose account `alice` it opens first."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random_stream("commands", seed)
        self.names = ["sandbox"]
        self._number = 0
        self.ways: list[tuple[int, Callable[[], object]]] = [
            (24, self.order),
            (6, self.group),
            (6, self.pair),
            (8, self.replace),
            (6, self.cancel),
            (12, self.wait),
            (2, self.wait_for_the_bell),
            (2, self.arm),
            (1, self.clear),
            (1, self.announce),
            (2, self.journal),
            (2, self.close_positions),
            (1, self.cancel_all),
            (1, self.open_account),
            (1, self.reset),
            (1, self.watch),
            (1, self.configure),
            (3, self.read),
        ]

    def step(self) -> None:
        """Send one command, and have everything written."""
        weights = [weight for weight, _ in self.ways]
        self.chance.choices([way for _, way in self.ways], weights)[0]()
        self.world.exchange.commit()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        name = self.chance.choice(self.names)
        return self.world.ask(method, path, body, KEYS | {"APCA-API-KEY-ID": name, "APCA-API-SECRET-KEY": name})

    def _symbol(self) -> str:
        return self.chance.choice(self.world.exchange.market.symbols)

    def _price(self, symbol: str, around: float = 0.02) -> str:
        last = self.world.engine.price(symbol) / 10_000
        return f"{max(last * self.chance.uniform(1 - around, 1 + around), 1.01):.2f}"

    def order(self) -> None:
        symbol, kind = self._symbol(), self.chance.choice(("market", "limit", "limit", "stop", "trailing_stop"))
        body: dict[str, Any] = {
            "symbol": symbol,
            "side": self.chance.choice(("buy", "sell")),
            "type": kind,
            "time_in_force": self.chance.choice(("day", "day", "gtc")),
            "qty": self.chance.choice((1, 7, 40, "0.5", 1_000)),
        }
        if kind in ("market", "limit"):
            body["time_in_force"] = self.chance.choice(("day", "gtc", "ioc", "fok", "opg", "cls"))
        if kind == "limit":
            body["limit_price"] = self._price(symbol)
            body["extended_hours"] = self.chance.random() < 0.2
        if kind == "stop":
            body["stop_price"] = self._price(symbol)
        if kind == "trailing_stop":
            body["trail_percent"] = "1.5"
        if self.chance.random() < 0.2:
            self._number += 1
            body["client_order_id"] = f"mine {self._number}"
        self.ask("POST", "/v2/orders", body)

    def group(self) -> None:
        symbol = self._symbol()
        last = self.world.engine.price(symbol) / 10_000
        kind = self.chance.choice(("bracket", "oto"))
        body = {
            "symbol": symbol,
            "side": "buy",
            "type": "market",
            "time_in_force": self.chance.choice(("day", "gtc")),
            "qty": self.chance.choice((2, 9)),
            "order_class": kind,
            "stop_loss": {"stop_price": f"{last * 0.99:.2f}"},
        }
        if kind == "bracket":
            body["take_profit"] = {"limit_price": f"{last * 1.01:.2f}"}
        self.ask("POST", "/v2/orders", body)

    def pair(self) -> None:
        """Let a target and a stop rest over whole shares of somebody."""
        positions = [
            (account.key_id, position.symbol, int(position.qty))
            for account in self.world.engine.accounts.values()
            for position in account.positions.values()
            if abs(position.qty) >= 1 and position.symbol != OPTION
        ]
        if not positions:
            return
        key, symbol, qty = self.chance.choice(positions)
        last, away = self.world.engine.price(symbol) / 10_000, 0.005 if qty > 0 else -0.005
        target = f"{last * (1 + away):.2f}"
        body = {
            "symbol": symbol,
            "side": "sell" if qty > 0 else "buy",
            "type": "limit",
            "time_in_force": self.chance.choice(("day", "gtc")),
            "qty": self.chance.randint(1, abs(qty)),
            "order_class": "oco",
            "take_profit": {"limit_price": target},
            "limit_price": target,
            "stop_loss": {"stop_price": f"{last * (1 - away):.2f}"},
        }
        keys = KEYS | {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": key}
        self.world.ask("POST", "/v2/orders", body, keys)

    def _open(self) -> Order | None:
        orders = [order for account in self.world.engine.accounts.values() for order in account.open.values()]
        return self.chance.choice(orders) if orders else None

    def _as_owner(self, order: Order, method: str, body: object = None) -> None:
        key = self.world.engine.accounts[order.account].key_id
        self.world.ask(
            method, f"/v2/orders/{order.id}", body, KEYS | {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": key}
        )

    def replace(self) -> None:
        order = self._open()
        if order is not None:
            body: dict[str, Any] = {} if order.is_grouped else {"qty": str(self.chance.randint(1, 30))}
            if order.request.limit is not None:
                body["limit_price"] = self._price(order.symbol)
            if order.request.stop is not None:
                body["stop_price"] = self._price(order.symbol)
            self._as_owner(order, "PATCH", body)

    def cancel(self) -> None:
        order = self._open()
        if order is not None:
            self._as_owner(order, "DELETE")

    def wait(self) -> None:
        self.world.ask("POST", "/exchange/v1/tick", {"seconds": self.chance.choice((1, 15, 45, 60, 300, 1800))})

    def wait_for_the_bell(self) -> None:
        self.world.ask("POST", "/exchange/v1/tick", {"to": self.chance.choice(("open", "close", "next_open"))})

    def arm(self) -> None:
        self._number += 1
        rule = self.chance.choice(FAULTS) | {"name": f"rule-{self._number}"}
        self.world.ask("POST", "/exchange/v1/faults", json.dumps([rule]).encode())

    def clear(self) -> None:
        self.world.ask("DELETE", "/exchange/v1/faults")

    def announce(self) -> None:
        kind = self.chance.choice(("cash_dividend", "forward_split", "reverse_split", "name_change"))
        self._number += 1
        terms = {
            "cash_dividend": {"rate": "0.55"},
            "forward_split": {"new_rate": "3", "old_rate": "2"},
            "reverse_split": {"new_rate": "1", "old_rate": "10"},
            "name_change": {"new_symbol": "NEW" + chr(ord("A") + self._number % 26)},
        }[kind]
        self.world.ask("POST", "/exchange/v1/actions", {"type": kind, "symbol": self._symbol(), **terms})

    def journal(self) -> None:
        body: dict[str, Any] = {
            "symbol": self.chance.choice((self._symbol(), OPTION)),
            "qty": self.chance.choice((5, -3)),
        }
        self.world.ask("POST", "/exchange/v1/journal", self.chance.choice((body, {"amount": "12.34"})))

    def close_positions(self) -> None:
        self.ask("DELETE", "/v2/positions")

    def cancel_all(self) -> None:
        self.ask("DELETE", "/v2/orders")

    def open_account(self) -> None:
        name = self.chance.choice(("alice", "bob"))
        self.world.ask("POST", "/exchange/v1/accounts", {"name": name, "cash": "50000"})
        self.names = ["sandbox", *(a.key_id for a in self.world.engine.accounts.values() if a.name != "main")]

    def reset(self) -> None:
        self.world.ask("POST", "/exchange/v1/reset", {"account": self.chance.choice(("main", "alice"))})

    def watch(self) -> None:
        self._number += 1
        self.ask("POST", "/v2/watchlists", {"name": f"list {self._number}", "symbols": ["AAPL"]})

    def configure(self) -> None:
        self.ask("PATCH", "/v2/account/configurations", {"no_shorting": self.chance.random() < 0.3})

    def read(self) -> None:
        self.ask("GET", self.chance.choice(("/v2/account", "/v2/positions", "/v2/orders?status=all")))
