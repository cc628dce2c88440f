"""Reconcile holds nothing that could send: by its types, by its imports, and by the log of an exchange gone wild."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
import requests
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from commands.reconcile import run as reconcile
from papervenue import process
from tests.kit.bot.folder import KEYS, made
from tests.suite import tiers
from tradebot import reconciliation
from tradebot.__main__ import main
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.ports import broker, stores

SENDS = {name for name in vars(broker.OrderPort) if not name.startswith("_")}
HOLDERS = [
    importlib.import_module(f"{reconciliation.__name__}.{module.name}")
    for module in pkgutil.iter_modules(reconciliation.__path__)
]
SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN")
MARKETS, PLAYS = tiers.sized((1, 12), (6, 25))
"""Markets, and plays in each: one that splits its shares by the thousand ends with more cash than any account holds."""


@pytest.mark.parametrize("module", HOLDERS, ids=lambda module: module.__name__)
def test_nothing_that_reconciles_is_handed_or_imports_what_can_send(module: ModuleType) -> None:
    named = {name for name, value in vars(module).items() if value in (broker.OrderPort, broker.SendLock)}
    handed = {
        kind
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        for kind in get_type_hints(function).values()
        if inspect.isclass(kind) and kind.__module__.startswith("tradebot.") and SENDS & set(vars(kind))
    }
    assert (named, handed) == (set(), set())
    assert {name for name in vars(module) if name in ("orders", "cycle", "World")} == set()


def test_the_guard_knows_what_sends() -> None:
    assert {"submit", "cancel"} <= SENDS
    assert not SENDS & {*vars(broker.BrokerReader), *vars(stores.Ledger), *vars(broker.Market)}


@pytest.fixture(scope="module")
def market(request: pytest.FixtureRequest) -> int:
    """Return the number of a market, so that each of them sees other happenings."""
    return int(request.param)


@pytest.fixture(scope="module")
def folder(market: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a bot with its own positions in a market that lasts."""
    with made(tmp_path_factory.mktemp("wild") / "state", "--sessions", "60") as path:
        for step in ("exchange tick close", "exchange tick next_open", "exchange tick 30m", "fetch-flow", "reconcile"):
            main([*step.split(), "--state-dir", str(path)])
        main(["trade-once", "--state-dir", str(path)])
        main(["exchange", "tick", "5m", "--state-dir", str(path)])
        yield path


shares, symbols = st.integers(-40, 40).filter(bool), st.sampled_from(SYMBOLS)
happenings = st.one_of(
    st.tuples(st.just("order"), symbols, st.integers(-20, 20).filter(bool)),
    st.tuples(st.just("cash"), st.integers(-20_000, 20_000).filter(bool)),
    st.tuples(st.just("shares"), symbols, shares),
    st.tuples(st.just("option"), symbols, st.sampled_from([-1, 1])),
    st.tuples(st.just("split"), symbols, st.sampled_from([(2, 1), (3, 2), (1, 2), (1, 5), (10, 1)])),
    st.tuples(st.just("dividend"), symbols, st.sampled_from(["0.01", "0.37", "2"])),
    st.tuples(st.just("wait"), st.sampled_from([{"seconds": 120}, {"to": "close"}, {"to": "next_open"}])),
)


def ask(url: str, path: str, **body: Any) -> None:
    """Let something happen at the broker; whatever it refuses does not."""
    assert requests.post(f"{url}{path}", headers=KEYS, json=body, timeout=30).status_code < 500


def happen(url: str, what: Sequence[Any]) -> None:
    control = f"{url}/exchange/v1"
    kind, *told = what
    if kind == "order":
        side = "buy" if told[1] > 0 else "sell"
        ask(url, "/v2/orders", symbol=told[0], qty=str(abs(told[1])), side=side, type="market", time_in_force="day")
    elif kind == "cash":
        ask(control, "/journal", amount=str(told[0]))
    elif kind == "shares":
        ask(control, "/journal", symbol=told[0], qty=told[1])
    elif kind == "option":
        day = requests.get(f"{control}/status", timeout=30).json()["next_close"][2:10].replace("-", "")
        ask(control, "/journal", symbol=f"{told[0]}{day}C00010000", qty=told[1])
    elif kind == "split":
        new, old = told[1]
        kind = "forward_split" if new > old else "reverse_split"
        ask(control, "/actions", type=kind, symbol=told[0], new_rate=new, old_rate=old)
    elif kind == "dividend":
        ask(control, "/actions", type="cash_dividend", symbol=told[0], rate=told[1])
    else:
        ask(control, "/tick", **told[0])


def compared(app: App, log: Path, plan: str | None = None) -> Any:
    """Run the verb, and see that the exchange's log has not grown by a line."""
    before = log.stat().st_size
    data = reconcile.run(app, by="test", apply=plan).data
    assert log.stat().st_size == before, log.read_bytes()[before:]
    assert "orders" not in vars(app)
    return data


@pytest.mark.sampled(share=50)
@pytest.mark.parametrize("market", range(MARKETS), indirect=True)
def test_whatever_the_broker_has_become_comparing_sends_nothing_and_one_plan_settles_it(
    market: int, folder: Path
) -> None:
    log, url = folder / "exchange" / "log.jsonl", process.ensure_running(folder / "exchange").url

    @seed((tiers.seed() or 0) + market)
    @given(st.lists(happenings, min_size=1, max_size=5))
    @settings(max_examples=PLAYS, deadline=None, phases=[Phase.generate])
    def play(told: list[Sequence[Any]]) -> None:
        for what in told:
            happen(url, what)
        with open_app(Options(str(folder)), {}) as app:
            first = compared(app, log)
            settled = compared(app, log, first.plan) if first.plan else first
            again = compared(app, log)
        assert [row for row in settled.findings if row.applicable] == [], first
        assert (again.findings, again.activities_booked, again.plan) == (settled.findings, 0, None)

    play()
