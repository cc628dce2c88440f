"""Define the sections of the configuration, with the checks of single values."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, StringConstraints, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from tradebot.adapters.wire.allowed_hosts import is_https, is_loopback
from tradebot.app.venues import driver_for
from tradebot.model.auction import AuctionRules
from tradebot.model.costs import CostModel
from tradebot.model.event import EventKind, Severity
from tradebot.model.limits import (
    ApprovalRules,
    Counts,
    DisplacementRules,
    ExitRules,
    Frozen,
    HaltRules,
    Limits,
    Seconds,
    Tighter,
    Url,
    in_force,
    tightest,
)
from tradebot.model.notice import Channel, Topic, quiet_hours
from tradebot.model.order import Execution
from tradebot.model.promotion import PromotionRules
from tradebot.model.record import Job
from tradebot.model.registry import RegistryRules
from tradebot.model.sentences import LABEL_PATTERN, known_name
from tradebot.model.trading import Mode
from tradebot.model.venue import Capabilities
from tradebot.model.venue_day import VenueDay
from tradebot.signals.kinds import checked_kind
from tradebot.strategies.settings import (
    AssumedCosts,
    ExecutionSettings,
    OwnExecution,
    PluginSettings,
    StrategySettings,
    Symbol,
    execution_in_force,
)
from tradebot.timetable.entries import Timetable, TimetableEntry, parse
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.alpaca.settings import AlpacaSettings

KindName = Annotated[str, AfterValidator(checked_kind)]
Beta = Annotated[Decimal, Field(ge=-10, le=10)]
TELEGRAM = "https://api.telegram.org"
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


def _timetable(value: object) -> Timetable:
    """Parse the timetable's lines; the errors name each line that can't be read."""
    if isinstance(value, Timetable):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("use a line for each job, such as trade-once: every 5m from open+2m until close-15m")
    lines: dict[str, TimetableEntry | None] = {}
    wrong: list[InitErrorDetails] = []
    for job, line in value.items():
        try:
            lines[job] = parse(job, line, ALPACA.day)
        except ValueError as error:
            problem = PydanticCustomError("value_error", "{said}", {"said": str(error)})
            wrong.append(InitErrorDetails(type=problem, loc=(job,), input=line))
    if wrong:
        raise ValidationError.from_exception_data("timetable", wrong)
    return Timetable(filter(None, lines.values()), (job for job, line in lines.items() if line is None))


def _event_kind(name: str) -> str:
    return known_name(name, [kind.value for kind in EventKind], "kind of event")


def _venue(name: str) -> str:
    return driver_for(name).capabilities.name


def _quiet(text: str) -> str:
    quiet_hours(text)
    return text


Lines = Annotated[Timetable, PlainValidator(_timetable), PlainSerializer(Timetable.to_settings, return_type=dict)]


class UnusualWhalesSettings(Frozen):
    """The flow source: its address, its call limits, and the age at which each kind is fetched again."""

    url: Annotated[Url | None, Tighter.SAME]
    calls_per_minute: Annotated[int, Field(ge=1, le=1_000_000), Tighter.LOWER]
    daily_calls: Annotated[int, Field(ge=1, le=10_000_000), Tighter.LOWER]
    reserve_fraction: Annotated[Decimal, Field(ge=0, lt=1), Tighter.HIGHER]
    poll_s: Annotated[dict[KindName, Seconds], Tighter.LOWER]
    stream: Annotated[bool, Tighter.SAME]
    keep_raw_sessions: Annotated[int, Field(ge=0, le=250), Tighter.ALWAYS]


class NewsSettings(Frozen):
    """The source of headlines: `unusual_whales` (as part of the flow), a service, or the venue under its own name.

    The other settings are for a service: its address, the calls per day in its plan, and the symbols to ask about. The
    defaults are those of records from earlier releases, which had no such section.
    """

    source: Annotated[str, Tighter.SAME] = "unusual_whales"
    url: Annotated[Url | None, Tighter.SAME] = None
    daily_calls: Annotated[Annotated[int, Field(ge=1, le=10_000_000)] | None, Tighter.LOWER] = None
    symbols: Annotated[list[Annotated[str, StringConstraints(pattern=r"^[A-Z0-9.:-]{1,20}$")]], Tighter.SAME] = Field(
        default_factory=list
    )


class ServeSettings(Frozen):
    """Settings of `serve`: how late a slot may still run, and limits of the process itself."""

    grace_s: Annotated[int, Field(ge=1, le=3600), Tighter.LOWER]
    stop_s: Annotated[int, Field(ge=1, le=600), Tighter.ALWAYS]
    stall_s: Annotated[int, Field(ge=1, le=3600), Tighter.ALWAYS]
    stall_end_s: Annotated[int, Field(ge=1, le=7200), Tighter.ALWAYS]
    max_memory_mb: Annotated[int, Field(ge=100, le=1_000_000), Tighter.ALWAYS]
    max_descriptors: Annotated[int, Field(ge=50, le=1_000_000), Tighter.ALWAYS]
    retry_s: Annotated[int, Field(ge=1, le=3600), Tighter.ALWAYS]
    retry_most_s: Annotated[int, Field(ge=1, le=3600), Tighter.ALWAYS]
    log_mb: Annotated[int, Field(ge=1, le=10_000), Tighter.ALWAYS, Counts.AT_START]
    log_files: Annotated[int, Field(ge=1, le=100), Tighter.ALWAYS, Counts.AT_START]


class StorageSettings(Frozen):
    """The free disk space that the state folder needs, and how long its contents are kept."""

    min_free_mb: Annotated[int, Field(ge=0, le=1_000_000), Tighter.HIGHER]
    tell_mb: Annotated[int, Field(ge=1, le=10_000_000), Tighter.ALWAYS]
    facts_days: Annotated[int, Field(ge=20, le=3650), Tighter.ALWAYS]
    decisions_days: Annotated[int, Field(ge=31, le=3650), Tighter.ALWAYS]
    replay_sessions: Annotated[int, Field(ge=0, le=400), Tighter.ALWAYS]
    backups: Annotated[int, Field(ge=2, le=1000), Tighter.ALWAYS]
    backup_to: Annotated[str | None, Tighter.ALWAYS]
    plans: Annotated[int, Field(ge=10, le=10_000), Tighter.ALWAYS]
    events_mb: Annotated[int, Field(ge=1, le=1000), Tighter.ALWAYS]
    events_files: Annotated[int, Field(ge=1, le=99), Tighter.ALWAYS]


class HealthSettings(Frozen):
    """The delays after which each component counts as FAILED, and the health endpoint."""

    slot_s: dict[Job, Seconds]
    note_s: Seconds
    backup_s: Seconds
    ports: Annotated[list[Annotated[int, Field(ge=1024, le=65_535)]], Field(max_length=4)]
    hosts: Annotated[list[HostName], Field(max_length=20)]


class ChannelSettings(Frozen):
    """Which messages are sent to a channel, and when; the channel's address is a secret in .env."""

    topics: Annotated[list[Topic], Field(default_factory=lambda: [*Topic])]
    # With a builtin as default_factory, pydantic would parse its signature, a tenth of the whole schema's time.
    events: Annotated[list[Annotated[str, AfterValidator(_event_kind)]], Field(default=[])]
    least: Severity = Severity.INFO
    quiet: Annotated[str, AfterValidator(_quiet)] | None = None
    most_an_hour: Annotated[int, Field(ge=1, le=1000)] = 12

    def rules(self, name: str) -> Channel:
        """Return these settings as the rules of the channel `name`."""
        topics = frozenset(self.topics) | ({Topic.EVENTS} if self.events else frozenset())
        quiet = quiet_hours(self.quiet) if self.quiet else None
        return Channel(name, topics, frozenset(self.events), self.least, quiet, self.most_an_hour)


class NotifySettings(Frozen):
    """The channels that the bot notifies, by name."""

    channels: dict[Annotated[str, StringConstraints(pattern=LABEL_PATTERN)], ChannelSettings | None]

    def in_use(self) -> tuple[Channel, ...]:
        """Return the channels that are switched on."""
        return tuple(section.rules(name) for name, section in self.channels.items() if section is not None)


def _telegram_url(url: str) -> str:
    if not is_loopback(url) and not is_https(url):
        raise ValueError(f"must be an https address without a path, such as {TELEGRAM}")
    return url


class TelegramSettings(Frozen):
    """The Telegram bot that reads messages; its token is a secret in .env."""

    url: Annotated[str, AfterValidator(_telegram_url), Tighter.SAME] = TELEGRAM


class ChatSettings(Frozen):
    """The chat through which one person may query the bot; its service is None if there is no chat."""

    telegram: Annotated[TelegramSettings | None, Tighter.SAME]
    # What an earlier release accepted lets nobody close.
    may_close: Annotated[bool, Tighter.LOWER] = False


class WebSettings(Frozen):
    """What a person who is logged in to the pages of `tradebot web` may do."""

    may_close: Annotated[bool, Tighter.LOWER] = False


Share = Annotated[Decimal, Field(gt=0, le=1)]


class FillSettings(Frozen):
    """How orders fill on the embedded exchange; if a setting is None, the fill model's own value is used."""

    model: Literal["next-bar", "next-open", "close", "paper"]
    spread_bps: Annotated[int, Field(ge=0, le=1000)] | None
    volume_share: Share | None
    depth_share: Share | None
    partial_rate: Annotated[Decimal, Field(ge=0, le=1)] | None
    latency_s: Annotated[int, Field(ge=0, le=3600)] | None
    slippage_bps: Annotated[Decimal, Field(ge=0, le=1000)] | None
    quotes: Literal["spread", "last"] | None


Commission = Annotated[Decimal, Field(ge=0, le=1000)]
AnnualRate = Annotated[Decimal, Field(ge=0, le=1)]
RateSpread = Annotated[Decimal, Field(ge=-1, le=1)]


class CostSettings(Frozen):
    """What orders, cash and short positions cost and earn on the embedded exchange."""

    commission_bps: Commission
    commission_per_share_usd: Commission
    commission_min_usd: Commission
    margin_rate: AnnualRate | Literal["funds"]
    margin_spread: RateSpread
    cash_rate: AnnualRate | Literal["funds"]
    cash_spread: RateSpread
    borrow_fee_rate: AnnualRate
    short_rebate_rate: AnnualRate | Literal["funds"]
    short_rebate_spread: RateSpread
    rates_path: str | None
    posted: Literal["session", "month"]


class TaxSettings(Frozen):
    """How `trades --tax` matches sales with purchases."""

    method: Annotated[Literal["fifo", "lifo", "hifo"], Tighter.ALWAYS]


class ReadingSettings(Frozen):
    """How to read recorded bars if the file is ambiguous; null means to decide from the file."""

    shape: str | None
    zone: str | None
    decimal: Literal["point", "comma"] | None
    symbol: str | None


class SandboxSettings(Frozen):
    """The embedded exchange's market."""

    source: Literal["generated", "csv", "parquet", "daily"]
    path: str | None
    bar_stamp: Literal["start", "end"] | None
    reading: ReadingSettings
    prices: Literal["raw", "adjusted"]
    day_prices: Literal["open-and-close", "close"]
    sessions: Annotated[int, Field(ge=1, le=10_000)]
    start: date
    seed: Annotated[int, Field(ge=0, le=2**31)]
    edge: Annotated[float, Field(ge=0, le=1)]
    cash_usd: Annotated[Decimal, Field(gt=0, le=1_000_000_000)]
    flow_folder: str | None
    corporate_actions: bool
    data_plan: Literal["free", "paid"]
    fill: FillSettings
    costs: CostSettings


class ReportSettings(Frozen):
    """The cash benchmark of `report`; None means that cash earns nothing."""

    cash_rate: Annotated[Decimal, Field(gt=-1, le=1)] | None


class BacktestSettings(Frozen):
    """How the owner is assumed to behave in a `backtest`; None means that the owner never ends a halt."""

    unhalt_after_sessions: Annotated[int, Field(ge=1, le=1000)] | None


class Sections(Frozen):
    """The complete configuration, in which each value was checked only by itself."""

    mode: Annotated[Mode, Tighter.SAME, Counts.AT_START]
    venue: Annotated[str, AfterValidator(_venue), Tighter.SAME]
    shadow: Annotated[bool, Tighter.HIGHER]
    alpaca: AlpacaSettings
    unusual_whales: UnusualWhalesSettings
    news: NewsSettings = NewsSettings()
    universe: Annotated[list[Symbol], Field(min_length=1, max_length=5000), Tighter.FEWER]
    sectors: Annotated[dict[Symbol, str], Tighter.SAME]
    themes: Annotated[dict[Symbol, str | None], Tighter.SAME]
    funds: Annotated[list[Symbol], Tighter.SAME]
    betas: Annotated[dict[Symbol, Beta], Tighter.SAME]
    strategies: StrategySettings
    plugins: PluginSettings
    limits: Limits
    displacement: DisplacementRules
    registry: RegistryRules | None
    auction: AuctionRules | None
    approval: ApprovalRules
    promotion: PromotionRules
    halts: HaltRules
    execution: ExecutionSettings
    costs: AssumedCosts | None
    # A closer stop or an earlier time exit isn't safer: either may close all positions at once.
    exits: Annotated[ExitRules, Tighter.SAME]
    timetable: Annotated[Lines, Tighter.SAME]
    serve: ServeSettings
    # It changes reports about the bot, but not its behavior.
    health: Annotated[HealthSettings, Tighter.ALWAYS, Counts.AT_START]
    notify: Annotated[NotifySettings, Tighter.ALWAYS]
    chat: ChatSettings
    web: WebSettings = WebSettings()
    storage: StorageSettings
    # It changes reports about the past, but no orders.
    report: Annotated[ReportSettings, Tighter.ALWAYS]
    # A real halt lasts until a person ends it.
    backtest: Annotated[BacktestSettings, Tighter.ALWAYS]
    tax: TaxSettings
    # `init` creates the market from it; later changes have no effect on orders.
    sandbox: Annotated[SandboxSettings, Tighter.ALWAYS]

    @property
    def capabilities(self) -> Capabilities:
        """Return the capabilities of the bot's venue."""
        return driver_for(self.venue).capabilities

    @property
    def day(self) -> VenueDay:
        """Return the bot's venue day."""
        return self.capabilities.day

    def limits_of(self, strategy: str) -> Limits:
        """Return the limits in force for a strategy in use: the tighter of the account's and its own."""
        section, allotment = self.strategies.sections()[strategy], self.strategies.allotments()[strategy]
        return in_force(self.limits, section.limits, allotment)

    def execution_of(self, strategy: str | None = None) -> Execution:
        """Return how a strategy's entries are sent; for None, return the account's settings."""
        own = self.strategies.sections()[strategy].execution if strategy else OwnExecution()
        return execution_in_force(self.execution, own)

    def costs_of(self, strategy: str | None = None) -> CostModel | None:
        """Return a strategy's assumed trading costs; for None, the account's. Return None if no costs are assumed."""
        own = self.strategies.sections()[strategy].costs if strategy else None
        assumed = own or self.costs
        return assumed.model if assumed else None

    def displacement_of(self, strategy: str) -> DisplacementRules:
        """Return a strategy's displacement rules: its own, or else the account's."""
        return self.strategies.sections()[strategy].displacement or self.displacement

    def approval_of(self, strategy: str) -> ApprovalRules:
        """Return the rules for approving a strategy's entries: its own, or else the account's.

        A strategy can't waive the approval that the account requires.
        """
        own = self.strategies.sections()[strategy].approval
        return self.approval if own is None or own.wait_s is None else own

    @property
    def tightest_limits(self) -> Limits:
        """Return each limit at the tightest value that the account or a strategy in use sets."""
        return tightest(self.limits, *(section.limits for section in self.strategies.sections().values()))
