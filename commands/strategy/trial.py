"""Run one strategy once on recorded or generated data, and report its needs, its proposals and its run time.

Nothing is sent or recorded, and no slot is used.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.fetch_flow import run as fetch_flow
from commands.init import making as init
from commands.score.run import SHORT
from commands.shared.light_helpers import NOBODY, clean
from commands.shared.number_format import format_signed, format_with_unit
from commands.shared.skipped_passes import remedy_for
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import moment, show_venue, when
from commands.shared.verb_options import Report, identity
from commands.strategy.run import EVERY_PASS, NeedsRow, in_words, needs_row
from tradebot.adapters.plugins.plugin import (
    close,
    code_in_force,
    installed_strategies,
    is_built_in,
    package_of,
    require_named,
)
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import MARKER, resolve
from tradebot.app import sandbox
from tradebot.app.loading import Options, load_for, user_file
from tradebot.app.settings import Loaded, Settings, load
from tradebot.app.wiring import App, open_app
from tradebot.desk.strategy_views import ViewBuilder
from tradebot.desk.want_validation import reject_excess_wants, validate_wants
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.candidate import Component, ScaleOutLevel, WantKind
from tradebot.model.decision import Decision, first_failure
from tradebot.model.reasons import REASONS
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.model.view import Close, Open, Reduce, StrategyView, Target, Want

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.model.record import StrategyRefusal
    from tradebot.ports.strategy import Strategy


def render(console: "Console", data: "TriedMoment") -> None:
    """Print the strategy's data, its proposals with reasons, and its run time."""
    runs = "its own process" if data.own_process else "this process"
    console.print(f"{data.name} of {data.package}, run in {runs} at {when(data.at)}", markup=False)
    source = "recorded by this bot" if data.seed is None else f"generated from seed {data.seed}, not a bot's records"
    console.print(f"Data      {source}", markup=False)
    console.print(f"Code      {data.code}", markup=False)
    console.print(f"Needs     {in_words(data.needs)}", markup=False)
    console.print(f"Asked     {data.times or EVERY_PASS}", markup=False)
    left_out = f"; {pluralize(len(data.left_out), 'symbol')} left out" if data.left_out else ""
    console.print(f"Sees      {pluralize(len(data.universe), 'symbol')}{left_out}")
    for why, symbols in _by_reason(data.left_out).items():
        console.print(f"  {why}: {', '.join(symbols)}", markup=False)
    _render_answer(console, data)
    console.print(f"Cost      {_cost(data.cost, own_process=data.own_process)}")


def _by_reason(left_out: "Sequence[StrategyRefusal]") -> dict[str, list[str]]:
    symbols = dict[str, list[str]]()
    for refusal in left_out:
        symbols.setdefault(_decision_text(refusal.decision), []).append(clean(str(refusal.symbol)))
    return symbols


def _render_answer(console: "Console", data: "TriedMoment") -> None:
    if data.refusal:
        assert data.refusal.reason is not None, "a refusal has a reason"
        row, remedy = REASONS[data.refusal.reason], remedy_for(data.name, data.refusal.reason)
        console.print(f"Answer    [red]refused[/red]: {data.refusal.reason}", highlight=False)
        console.print(f"  {_numbers(data.refusal)}\n  {row.meaning}\n  Next: {remedy}", markup=False)
        return
    declined = sum(want.declined is not None for want in data.wants)
    console.print(
        f"Answer    {pluralize(len(data.wants), 'want')}: {len(data.wants) - declined:,} for the gates, "
        f"{declined:,} declined by the strategy itself"
    )
    if data.wants:
        _render_wants(console, data.wants)
    if data.repeats is False:
        console.print("[red]The same view gave a different answer in a second run.[/red]")
        console.print("  Next: remove randomness, clocks and state from propose; it must depend on the view alone")


def _render_wants(console: "Console", wants: "tuple[WantRow, ...]") -> None:
    names = list(dict.fromkeys(part.name for want in wants for part in want.components))
    numbers = ("score", "coverage", "weight", "quantity", "stop", "target", *(SHORT.get(name, name) for name in names))
    table = Table(
        "symbol",
        last_folded_column("want"),
        last_folded_column("side"),
        *map(number, numbers),
        sentence("result", "result:"),
    )
    for want in wants:
        values = {part.name: "·" if part.value is None else format_signed(part.value, 2) for part in want.components}
        table.row(
            escape(want.symbol),
            want.want.value,
            want.side or "",
            "" if want.score is None else format_signed(want.score, 3),
            "" if want.coverage is None else f"{want.coverage:.0%}",
            _percent(want.weight),
            "" if want.quantity is None else f"{want.quantity:,f}",
            _percent(want.stop_loss_fraction),
            "/".join(map(_percent, (want.profit_target_fraction, *(level.fraction for level in want.targets)))).strip(
                "/"
            ),
            *(values.get(name, "") for name in names),
            escape(f"declined: {_decision_text(want.declined)}" if want.declined else clean(want.why) or "wanted"),
        )
    console.print(table)


def _percent(fraction: "Decimal | None") -> str:
    return "" if fraction is None else f"{fraction:.2%}"


def _decision_text(decision: "Decision") -> str:
    return f"{decision.reason or decision.verdict} {_numbers(decision)}"


def _numbers(decision: "Decision") -> str:
    observed, limit = (
        clean(format_with_unit(round(value, 4) if isinstance(value, float) else value, unit))
        for value, unit in zip((decision.observed, decision.limit), decision.units, strict=True)
    )
    return (observed or "nothing") + (f" against {limit}" if limit else "")


def _cost(cost: "AnswerCost", *, own_process: bool) -> str:
    start = ", including the start of its process" if own_process else ""
    later = "" if cost.later_s is None else f"; run again, {_took(cost.later_s)} (median of {cost.again})"
    limit = "" if cost.limit_s is None else f"; the limit is {cost.limit_s:g} s"
    return f"first answer {_took(cost.first_s)}{start}{later}{limit}"


def _took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


class WantRow(Struct, frozen=True):
    """One proposal; quantity in shares, weight as a share of the allotment, `why` in the strategy's own words.

    `declined` is the strategy's own decision against it, or None if the proposal goes on to the gates.
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


class AnswerCost(Struct, frozen=True):
    """How long the runs took, in seconds: the first one (`first_s`), and the median of `again` later runs (`later_s`).

    If the strategy has its own process, the first run includes starting it.
    """

    first_s: float
    later_s: float | None
    again: int
    limit_s: float | None


class TriedMoment(Struct, frozen=True):
    """A strategy's result at one moment. `refusal` is set if the bot would refuse the whole result.

    `data` is "recorded" if it used a bot's stored data, or "generated" from `seed`. `left_out` are the symbols without
    the data that the strategy needs. `code` is the digest of the code that ran. `repeats` is False if the same input
    gave a different result in a later run, and None if there was only one run.
    """

    name: str
    package: str
    code: str
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
    cost: AnswerCost


AGAIN = 4
"""How often a strategy runs again for the same moment."""
ENOUGH_S = 2.0
"""A strategy that has taken this long isn't run again."""
RECORDED, GENERATED = "recorded", "generated"
INTO_SESSION_S = 7200
"""How many seconds after the open of the generated session the strategy runs."""


def run(name: str, symbols: Sequence[str], at: str | None, state_dir: str | None, config: str | None) -> Report:
    """Run an installed strategy; exit 10 if its result is refused, or changes in a second run."""
    with _bot(name, symbols, at, state_dir, config) as (app, seed):
        show_venue(app.day)
        data = _try_moment(app, seed, moment(at) if at else None)
        bot_identity = identity(app) if seed is None else NOBODY
    code = ExitCode.FINDINGS if data.refusal or data.repeats is False else ExitCode.DONE
    return Report("strategy-test", data, render, code, bot_identity)


@contextmanager
def _bot(
    name: str, symbols: Sequence[str], at: str | None, state_dir: str | None, config: str | None
) -> "Iterator[tuple[App, int | None]]":
    """Yield a bot with this strategy alone, and the seed if its data is generated.

    A bot is used if there is one, unless the strategy reads flow and the bot has fetched none yet.
    """
    folder = resolve(state_dir, os.environ)
    if state_dir is not None or (folder / MARKER).exists():
        with open_app(
            Options(state_dir, config),
            os.environ,
            loads=lambda *folder_name: with_strategy_alone(load_for(*folder_name), name, symbols),
        ) as app:
            if app.existing_facts or not app.strategies[0].needs.facts:
                yield app, None
                return
    if at is not None:
        raise OperatorError("--at needs a bot that has recorded something, and there is none", "leave out --at")
    loaded = load(user_file(Options(None, config), folder, os.environ), os.environ, {"mode": "sandbox"})
    with open_generated(with_strategy_alone(loaded, name, symbols)) as app:
        yield app, app.settings.sandbox.seed


def with_strategy_alone(loaded: "Loaded", name: str, symbols: Sequence[str]) -> "Loaded":
    """Return the settings with one strategy in use, even if it is off, and with other symbols if any are given."""
    settings = loaded.settings
    own = settings.strategies.model_dump().get(name)
    if own is None:
        own = load(None, {}).settings.strategies.model_dump().get(name) or {}
    require_named(name, own.get("strategy") or name)
    own["allotment_fraction"] = settings.strategies.allotments().get(name, Decimal(1))
    if symbols:
        own["universe"] = None
    strategies = type(settings.strategies).model_validate({"flow": None, name: own})
    universe = list(symbols or settings.universe)
    return replace(loaded, settings=settings.model_copy(update={"strategies": strategies, "universe": universe}))


@contextmanager
def open_generated(loaded: "Loaded", into_session_s: int = INTO_SESSION_S) -> "Iterator[App]":
    """Yield a temporary bot on a generated market, `into_session_s` seconds after the open of its first session."""
    loaded = replace(loaded, settings=_generated_market(loaded.settings))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        try:
            with init.setting_up(path, "strategy test"):
                init.create_bot(path, loaded.settings, "test", {"mode": "sandbox"})
            with open_app(Options(str(path)), os.environ, loads=lambda *_: loaded) as app:
                app.engine.tick_to("open")
                app.engine.sleep(into_session_s)
                app.ensure_calendar(app.now())
                if app.strategies[0].needs.facts:
                    fetch_flow.run(app, by="strategy test", force_slot=True)
                yield app
        finally:
            sandbox.stop(path / state_folder.EXCHANGE)


def _generated_market(settings: "Settings") -> "Settings":
    market = load(None, {}).settings.sandbox.model_copy(update={"sessions": 1})
    return settings.model_copy(update={"sandbox": market, "mode": Mode.SANDBOX, "shadow": False})


def _try_moment(app: "App", seed: int | None, at: datetime | None) -> TriedMoment:
    world = app.world(dry_run=True, asking=True)
    (strategy,) = world.strategies
    point = installed_strategies()[app.settings.strategies.installed_as()[strategy.name]]
    # Its needs may have started its process. The cost of a first answer includes starting it.
    close(world.strategies)
    started = perf_counter()
    needs = strategy.needs
    start_s = perf_counter() - started
    now = at or app.now()
    strategy_inputs = ViewBuilder(world, now, (strategy,)).of(strategy)
    answer, cost, repeats = _ask_twice(strategy, strategy_inputs.view, start_s)
    if (most := app.rules.of(strategy.name).wants) and not isinstance(answer, Decision):
        answer = reject_excess_wants(answer, most) or answer
    own_process = not is_built_in(point)
    return TriedMoment(
        name=strategy.name,
        package=package_of(point),
        code=code_in_force([strategy]).get(strategy.name, ""),
        own_process=own_process,
        data=RECORDED if seed is None else GENERATED,
        seed=seed,
        at=now,
        times=app.rules.of(strategy.name).times or strategy.times,
        needs=needs_row(needs),
        universe=tuple(strategy_inputs.view.universe),
        left_out=strategy_inputs.left_out,
        wants=() if isinstance(answer, Decision) else tuple(map(_row, answer)),
        refusal=answer if isinstance(answer, Decision) else None,
        repeats=repeats,
        cost=replace(cost, limit_s=app.settings.plugins.timeout_s if own_process else None),
    )


def _ask_twice(
    strategy: "Strategy", view: "StrategyView", start_s: float
) -> "tuple[tuple[Want, ...] | Decision, AnswerCost, bool | None]":
    """Return the validated answer, its cost, and whether later runs on the same view gave it again; None if there were
    none.
    """
    answer, first_s = _time_answer(strategy, view)
    later = list[float]()
    repeats = True
    while not isinstance(answer, Decision) and len(later) < AGAIN and first_s + sum(later) < ENOUGH_S:
        again, took_s = _time_answer(strategy, view)
        later.append(took_s)
        repeats = repeats and again == answer
    cost = AnswerCost(start_s + first_s, median(later) if later else None, len(later), None)
    return answer, cost, repeats if later else None


def _time_answer(strategy: "Strategy", view: "StrategyView") -> "tuple[tuple[Want, ...] | Decision, float]":
    started = perf_counter()
    answer = strategy.propose(view)
    took_s = perf_counter() - started
    return answer if isinstance(answer, Decision) else validate_wants(view, answer), took_s


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
