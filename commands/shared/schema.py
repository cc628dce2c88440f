"""Give every verb --schema (the JSON Schema of its --json document) and --utc."""

import json
from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperOption

from commands.shared.help import HelpfulCommand
from commands.shared.light_helpers import NOBODY, document, error_document, say
from commands.shared.times import show_utc
from tradebot.errors import ExitCode, TradebotError

if TYPE_CHECKING:
    from commands.shared.schema_types import Definitions, Schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NOT_RUN = "commands.shared.skipped_passes:NotRun"
PASS = "commands.shared.pass_reports:PassData"

DATA: Mapping[str, tuple[str, ...]] = {
    "init": ("commands.init.making:Made",),
    "demo": ("commands.demo.report:DemoData",),
    "backtest": ("commands.backtest.report:BacktestData",),
    "search": ("commands.search.report:Searched",),
    "serve": ("jobs.runner:Line",),
    "schedule": ("commands.schedule.rows:Schedule",),
    "schedule-check": ("commands.schedule.check:ScheduleChecked",),
    "schedule-run": ("commands.schedule.chore:ChoreRun",),
    "fetch-flow": ("commands.fetch_flow.verb:FlowFetched", "commands.fetch_flow.streaming:FlowStreamed", NOT_RUN),
    "fetch-flow-plan": ("commands.fetch_flow.plan:Planned",),
    "score": (PASS,),
    "score-from": ("commands.score.past_session:ScoredAgain",),
    "score-explain": ("commands.score.explanation:Explained",),
    "score-variants": ("commands.score.variants:Variants",),
    "score-outcomes": ("commands.score.outcomes:Outcomes",),
    "score-diff": ("tradebot.views.score_diff:Moved",),
    "trade-once": ("commands.trade_once.submitted_candidates:EntriesData", NOT_RUN),
    "evaluate-exits": (PASS, NOT_RUN),
    "reconcile": ("commands.reconcile.verb:Compared",),
    "why-no-orders": (
        "tradebot.views.why_no_orders:Why",
        "tradebot.views.why_no_orders:SymbolWhy",
        "commands.why_no_orders.reason:Ended",
        "tradebot.views.why_no_orders:BySymbol",
        "tradebot.views.symbol_span:SymbolSpan",
        "tradebot.views.what_if:WhatIf",
        "tradebot.views.what_if_span:WhatIfSpan",
    ),
    "replay": ("commands.replay.report:Again",),
    "parity": ("commands.parity.report:Parity",),
    "promote": ("commands.promote.report:Promotions", "commands.promote.policies:PoliciesJudged"),
    "shadow": ("commands.shadow.verb:InShadow",),
    "demote": ("commands.promote.report:Promotions",),
    "incident": ("commands.incident.verb:Incident",),
    "status": ("tradebot.views.status:Status", "commands.status.stores:Stores"),
    "health": ("commands.health.report:Health",),
    "top": ("commands.top.screen_data:Screens",),
    "model-key": ("commands.model.verb:ModelKey",),
    "model-sign": ("commands.model.verb:ModelSigned",),
    "model-check": ("commands.model.verb:ModelsChecked",),
    "doctor": ("commands.doctor.report:Health",),
    "signals": ("tradebot.judging.signal_health:Signals",),
    "registry": ("commands.registry:RegistryData",),
    "audit": ("commands.audit.report:Audited",),
    "summary": ("tradebot.views.summary.values:Summary",),
    "halt": ("commands.halt.report:Halted",),
    "unhalt": ("commands.unhalt:Unhalted",),
    "approvals": ("commands.approvals:ApprovalsData",),
    "approve": ("commands.approvals:AnsweredData",),
    "reject": ("commands.approvals:AnsweredData",),
    "positions": ("commands.positions:Positions",),
    "orders": ("commands.orders:Orders",),
    "fills": ("commands.fills:Fills",),
    "compare": ("commands.compare.report:Comparison",),
    "report": ("tradebot.lab.performance.report:Report",),
    "learn": ("commands.learn.report:Learned",),
    "learn-policy-train": ("commands.learn.policy.train:PolicyTrained",),
    "learn-policy-judge": ("commands.learn.policy.judge:PolicyJudged",),
    "learn-policy-walk": ("commands.learn.policy.walk:PolicyWalked",),
    "learn-policy-study": ("commands.learn.policy.study:PolicyStudied",),
    "trades": ("commands.trades.report:Trades",),
    "pnl": ("commands.pnl.screen:ProfitAndLoss",),
    "trades-note": ("commands.trades.note:Noted",),
    "trades-tax": ("commands.trades.tax:Tax",),
    "trades-swaps": ("commands.trades.swaps:Swaps",),
    "tail": ("commands.tail:Written",),
    "export": ("commands.export:Tables",),
    "events": ("commands.events:Events", "tradebot.model.event:SystemEvent"),
    "backup": ("commands.backup:Backups",),
    "archive-push": ("commands.archive.verb:ArchivePushed",),
    "archive-list": ("commands.archive.verb:Archived",),
    "archive-fetch": ("commands.archive.verb:ArchiveFetched",),
    "restore": ("commands.recover.verb:Recovered",),
    "recover": ("commands.recover.verb:Recovered",),
    "upgrade": ("commands.upgrade:Upgraded",),
    "deploy-verify": ("commands.deploy:Deployed",),
    "journal-verify": ("commands.journal:Verified",),
    "adopt": ("commands.adopt:Adopted",),
    "flatten": (PASS,),
    "completion": ("commands.completion:Completion",),
    "config-show": ("commands.config.accept:Shown",),
    "config-accept": ("commands.config.accept:Accepted",),
    "config-check": ("commands.config.accept:Checked",),
    "config-diff": ("commands.config.diff:Diff",),
    "config-set": ("commands.config.set_value:Set",),
    "live-status": ("commands.live:LiveStatus",),
    "live-arm": ("commands.live:Armed",),
    "live-take-over": ("commands.live:TakenOver",),
    "notify-list": ("commands.notify.verb:Channels",),
    "notify-test": ("commands.notify.verb:Tried",),
    "notify-send": ("commands.notify.verb:Sent",),
    "notify-last": ("commands.notify.verb:Notices",),
    "chat-pair": ("commands.chat.verb:Code",),
    "chat-status": ("commands.chat.verb:ChatStatus",),
    "chat-revoke": ("commands.chat.verb:Revoked",),
    "chat-listen": ("commands.chat.verb:Listened",),
    "watchdog": ("commands.watchdog.verb:Watched",),
    "mcp": ("commands.mcp.verb:McpServed",),
    "web": ("commands.web.verb:WebServed",),
    "drill-list": ("commands.drill.verb:Drills",),
    "drill-run": ("commands.drill.verb:DrillPlayed",),
    "exchange-serve": ("commands.exchange.serve:Serving",),
    "exchange-tick": ("commands.exchange.tick:Ticked",),
    "exchange-status": ("commands.exchange.status:ExchangeStatus",),
    "exchange-faults": ("commands.exchange.faults:Faults",),
    "exchange-page": ("commands.exchange.page:Page",),
    "exchange-reset": ("commands.exchange.reset:Reset",),
    "bars-fetch": ("commands.bars.fetch:BarsFetched",),
    "bars-import": ("commands.bars.import_files:BarsImported",),
    "bars-list": ("commands.bars.listing:BarsStored",),
    "bars-check": ("commands.bars.check:BarsChecked",),
    "strategy-new": ("commands.strategy.verb:Written",),
    "strategy-test": ("commands.strategy.trial:Tried",),
    "strategy-list": ("commands.strategy.verb:Strategies",),
}
"""The data type of each document, by its place in the code: it is imported only when a schema is requested."""

FURTHER: Mapping[str, tuple[str, ...]] = {
    "fetch-flow": ("fetch-flow-plan",),
    "schedule": ("schedule-check", "schedule-run"),
    "score": ("score-explain", "score-variants", "score-outcomes", "score-diff", "score-from"),
    "trades": ("trades-note", "trades-tax", "trades-swaps"),
}
"""Verbs that print another document with some option."""


def schema_of(verb: str) -> "Schema":
    """Return the schema of every document that a verb may print, errors included; `verb` as it is typed."""
    from commands.shared.schema_types import Definitions

    name = verb.replace(" ", "-")
    known = Definitions()
    documents = [_document(each, known) for each in (name, *FURTHER.get(name, ()))]
    return {
        "$schema": DRAFT,
        "title": f"What tradebot {verb} --json prints",
        "anyOf": [*documents, _error(known)],
        "$defs": known.schemas,
    }


def answer_schema(verb: str, kinds: Collection[str] = ()) -> "Schema":
    """Return the schema of the document that a verb of one word prints where nothing went wrong.

    `kinds` are the names of the data types that it may have; all of the verb's if none is named.
    """
    from commands.shared.schema_types import Definitions

    known = Definitions()
    return {"$schema": DRAFT, **_document(verb, known, kinds), "$defs": known.schemas}


def _document(name: str, known: "Definitions", kinds: Collection[str] = ()) -> "Schema":
    from commands.shared.schema_types import closed

    sample = document(name, NOBODY, ExitCode.DONE, None)
    places = [place for place in DATA[name] if not kinds or place.partition(":")[2] in kinds]
    return closed(
        schema={"const": sample["schema"]},
        verb={"const": sample["verb"]},
        **_bot_fields(),
        exit_code=known.of(ExitCode),
        data={"anyOf": [known.of(_type(place)) for place in places]},
    )


def _bot_fields() -> "dict[str, Schema]":
    from tradebot.model.trading import Mode, mode_name

    modes = [mode_name(mode, shadow=shadow) for mode in Mode for shadow in (False, True)]
    return {
        "mode": {"enum": [*modes, None]},
        "venue": {"type": ["string", "null"], "description": "The name of the venue at which the account is."},
        "account": {"type": ["string", "null"], "description": "The number's last four characters."},
    }


def _error(known: "Definitions") -> "Schema":
    from commands.shared.schema_types import closed

    sample = error_document(TradebotError(""), NOBODY)
    described = closed(
        code=known.of(ExitCode),
        message={"type": "string"},
        hint={"type": "string", "description": "The next command; empty if there is none."},
        retryable={"type": "boolean"},
    )
    return closed(schema={"const": sample["schema"]}, **_bot_fields(), error=described)


def _type(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


class Verb(HelpfulCommand):
    """A command that also takes --utc and --schema; --schema is handled before the other options and needs no bot."""

    def __init__(self, name: str | None, **given: Any) -> None:
        super().__init__(name, **given)
        for flag, act, what in (
            ("--utc", lambda _context, _option, in_utc: show_utc(in_utc), "Show times in UTC instead of the venue's."),
            ("--schema", _show, "Print the JSON Schema of that document."),
        ):
            common: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
            self.params.append(TyperOption(param_decls=[flag], callback=act, help=what, **common))


def _show(context: typer.Context, _option: object, requested: bool) -> None:
    if requested and not context.resilient_parsing:
        program = context.find_root().command_path
        say(json.dumps(schema_of(context.command_path.removeprefix(f"{program} ")), indent=2))
        raise typer.Exit


def offer(app: typer.Typer) -> None:
    """Add --schema and --utc to every verb, including those in groups."""
    for command in _commands(app):
        command.cls = Verb


def _commands(app: typer.Typer) -> Iterable[Any]:
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance)
