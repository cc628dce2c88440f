"""Ask one strategy once on recorded or generated data, and report its needs, its wants and what it cost.

Nothing is sent or recorded, and no slot is used.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.plain import clean
from commands.shared.surface import Report
from commands.strategy.needs import NeedsRow, needs_row
from commands.strategy.trial_screen import render
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.candidate import Component, ScaleOutLevel, WantKind
from tradebot.model.decision import Decision, first_failure
from tradebot.model.values import replace
from tradebot.model.wants import Close, Open, Reduce, Target

if TYPE_CHECKING:
    from tradebot.app.settings import Loaded, Settings
    from tradebot.app.wiring import App
    from tradebot.model.record import StrategyRefusal
    from tradebot.model.view import StrategyView
    from tradebot.model.wants import Want
    from tradebot.ports.strategy import Strategy


class WantRow(Struct, frozen=True):
    """One want; quantity in shares, weight as a share of the allotment, `why` in the strategy's own words.

    `declined` is the strategy's own decision against it, or None if the want goes on to the gates.
    """

    symbol: str
    want: WantKind
    side: str | None = None
    score: float | None = None
    coverage: float | None = None
    weight: Decimal | None = None
    quantity: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    why: str = ""
    components: tuple[Component, ...] = ()
    decisions: tuple[Decision, ...] = ()
    declined: Decision | None = None
    targets: tuple[ScaleOutLevel, ...] = ()


class Cost(Struct, frozen=True):
    """What the answers took in seconds: the first one with its start, and the median of `again` later ones."""

    first_s: float
    later_s: float | None
    again: int
    limit_s: float | None


class Tried(Struct, frozen=True):
    """A strategy's answer at one moment. `refusal` is set if the bot would refuse the whole answer.

    `data` is "recorded" if it saw what a bot has stored, or "generated" from `seed`. `left_out` are symbols whose needs
    aren't met. `repeats` is False if the same view got another answer later, and None if it was asked only once.
    """

    name: str
    package: str
    own_process: bool
    data: str
    seed: int | None
    at: datetime
    times: str
    needs: NeedsRow
    universe: tuple[str, ...]
    left_out: "tuple[StrategyRefusal, ...]"
    wants: tuple[WantRow, ...]
    refusal: Decision | None
    repeats: bool | None
    cost: Cost


AGAIN = 4
"""How often a strategy is asked again about the same moment."""
ENOUGH_S = 2.0
"""A strategy that has taken this long isn't asked again."""
RECORDED, GENERATED = "recorded", "generated"
INTO_SESSION_S = 7200
"""The moment of the generated session at which the strategy is asked."""


def run(name: str, symbols: Sequence[str], at: datetime | None, state_dir: str | None, config: str | None) -> Report:
    """Ask an installed strategy; exit 10 if its answer is refused, or changes when it is asked again."""
    with _bot(name, symbols, at, state_dir, config) as (app, seed):
        data = _tried(app, seed, at)
        mode, account = (app.mode_name, app.account_tail) if seed is None else (None, None)
    code = ExitCode.FINDINGS if data.refusal or data.repeats is False else ExitCode.DONE
    return Report("strategy-test", data, render, code, mode, account)


@contextmanager
def _bot(
    name: str, symbols: Sequence[str], at: datetime | None, state_dir: str | None, config: str | None
) -> "Iterator[tuple[App, int | None]]":
    """Yield a bot with this strategy alone, and the seed if its data is generated.

    A bot is used if there is one, unless the strategy reads flow and the bot has fetched none yet.
    """
    from tradebot.adapters.state.state_folder import MARKER, resolve
    from tradebot.app.loading import Options, load_for, user_file
    from tradebot.app.settings import load
    from tradebot.app.wiring import opened

    folder = resolve(state_dir, os.environ)
    if state_dir is not None or (folder / MARKER).exists():
        with opened(
            Options(state_dir, config), os.environ, loads=lambda *place: _alone(load_for(*place), name, symbols)
        ) as app:
            if app.recorded or not app.strategies[0].needs.facts:
                yield app, None
                return
    if at is not None:
        raise OperatorError("--at needs a bot that has recorded something, and there is none", "leave out --at")
    loaded = load(user_file(Options(None, config), folder, os.environ), os.environ, {"mode": "sandbox"})
    with _generated(_alone(loaded, name, symbols)) as app:
        yield app, app.settings.sandbox.seed


def _alone(loaded: "Loaded", name: str, symbols: Sequence[str]) -> "Loaded":
    """Return the settings with one strategy in use, even if it is off, and with other symbols if any are given."""
    from tradebot.app.settings import load

    settings = loaded.settings
    own = settings.strategies.model_dump().get(name)
    if own is None:
        own = load(None, {}).settings.strategies.model_dump().get(name) or {}
    _require_installed(name, own.get("strategy") or name)
    own["allotment_fraction"] = settings.strategies.allotments().get(name, Decimal(1))
    if symbols:
        own["universe"] = None
    strategies = type(settings.strategies).model_validate({"flow": None, name: own})
    universe = list(symbols or settings.universe)
    return replace(loaded, settings=settings.model_copy(update={"strategies": strategies, "universe": universe}))


def _require_installed(name: str, installed_as: str) -> None:
    from tradebot.adapters.plugins.plugin import installed

    available = installed()
    if installed_as not in available:
        known = f"installed: {', '.join(sorted(available))}"
        raise OperatorError(f"no strategy named {clean(name)[:40]} is installed", f"{known}; tradebot strategy list")


@contextmanager
def _generated(loaded: "Loaded") -> "Iterator[App]":
    from tempfile import TemporaryDirectory

    from commands.fetch_flow import verb as fetch_flow
    from commands.init import verb as init
    from tradebot.adapters.state import state_folder
    from tradebot.app import sandbox
    from tradebot.app.loading import Options
    from tradebot.app.wiring import opened

    loaded = replace(loaded, settings=_generated_market(loaded.settings))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        try:
            with init.setting_up(path, "strategy test"):
                init.make(path, loaded.settings, "test", {"mode": "sandbox"})
            with opened(Options(str(path)), os.environ, loads=lambda *_: loaded) as app:
                app.engine.tick_to("open")
                app.engine.sleep(INTO_SESSION_S)
                app.ensure_calendar(app.now())
                if app.strategies[0].needs.facts:
                    fetch_flow.run(app, by="strategy test", force_slot=True)
                yield app
        finally:
            sandbox.stop(path / state_folder.EXCHANGE)


def _generated_market(settings: "Settings") -> "Settings":
    from tradebot.app.settings import load
    from tradebot.model.trading import Mode

    market = load(None, {}).settings.sandbox.model_copy(update={"sessions": 1})
    return settings.model_copy(update={"sandbox": market, "mode": Mode.SANDBOX, "shadow": False})


def _tried(app: "App", seed: int | None, at: datetime | None) -> Tried:
    from tradebot.adapters.plugins.plugin import close, installed, is_built_in, package_of
    from tradebot.desk.views import Sights

    world = app.world(dry_run=True, asking=True)
    (strategy,) = world.strategies
    point = installed()[app.settings.strategies.installed_as()[strategy.name]]
    # It may have been asked what it needs. The cost of a first answer is that of a process which isn't running yet.
    close(world.strategies)
    started = perf_counter()
    needs = strategy.needs
    start_s = perf_counter() - started
    now = at or app.now()
    seen = Sights(world, now, (strategy,)).of(strategy)
    answer, cost, repeats = _asked(strategy, seen.view, start_s)
    own_process = not is_built_in(point)
    return Tried(
        name=strategy.name,
        package=package_of(point),
        own_process=own_process,
        data=RECORDED if seed is None else GENERATED,
        seed=seed,
        at=now,
        times=app.rules.of(strategy.name).times or strategy.times,
        needs=needs_row(needs),
        universe=tuple(seen.view.universe),
        left_out=seen.left_out,
        wants=() if isinstance(answer, Decision) else tuple(map(_row, answer)),
        refusal=answer if isinstance(answer, Decision) else None,
        repeats=repeats,
        cost=replace(cost, limit_s=app.settings.plugins.timeout_s if own_process else None),
    )


def _asked(
    strategy: "Strategy", view: "StrategyView", start_s: float
) -> "tuple[tuple[Want, ...] | Decision, Cost, bool | None]":
    """Return the checked answer, what it cost, and whether the same view gets the same answer again."""
    from statistics import median

    answer, first_s = _timed(strategy, view)
    later = list[float]()
    repeats = True
    while not isinstance(answer, Decision) and len(later) < AGAIN and first_s + sum(later) < ENOUGH_S:
        again, took_s = _timed(strategy, view)
        later.append(took_s)
        repeats = repeats and again == answer
    cost = Cost(start_s + first_s, median(later) if later else None, len(later), None)
    return answer, cost, repeats if later else None


def _timed(strategy: "Strategy", view: "StrategyView") -> "tuple[tuple[Want, ...] | Decision, float]":
    from tradebot.desk.answers import checked

    started = perf_counter()
    answer = strategy.propose(view)
    took_s = perf_counter() - started
    return answer if isinstance(answer, Decision) else checked(view, answer), took_s


def _row(want: "Want") -> WantRow:
    if isinstance(want, Open):
        return WantRow(
            want.symbol,
            WantKind.OPEN,
            want.side.value,
            want.score,
            want.coverage,
            quantity=want.quantity,
            stop_loss_fraction=want.stop_loss_fraction,
            profit_target_fraction=want.profit_target_fraction,
            components=want.components,
            decisions=want.decisions,
            declined=first_failure(want.decisions),
            targets=want.targets,
        )
    if isinstance(want, Target):
        return WantRow(
            want.symbol,
            WantKind.TARGET,
            score=want.score,
            weight=want.weight,
            quantity=want.quantity,
            decisions=want.decisions,
            declined=first_failure(want.decisions),
        )
    if isinstance(want, Reduce):
        return WantRow(want.symbol, WantKind.REDUCE, quantity=want.quantity, why=want.why)
    assert isinstance(want, Close), "there are four kinds of wants"
    return WantRow(want.symbol, WantKind.CLOSE, why=want.why)
