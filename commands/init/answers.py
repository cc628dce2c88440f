"""Turn the answers to the wizard's questions into a commented configuration that loads."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from tradebot.app.settings import Settings

HUNDRED = Decimal(100)
LEAST, MOST = Decimal("0.1"), Decimal(10)
"""The least and the most that may be at risk on a day, in percent of equity."""
LEAST_TRADE = Decimal("0.01")
FULL_BOOK = Decimal("0.9")
"""The share of a day's loss that a full book may lose at its stops, so that filling it doesn't block entries."""
STEP = Decimal("0.001")
HALTS_AT = 2
"""The daily loss that halts the bot, as a multiple of the acceptable daily loss."""
DRAWDOWNS = 5
"""The drawdown that halts the bot, as a multiple of the acceptable daily loss, unless the shipped limit is larger."""
UNSORTED = "unsorted"
BEFORE_CLOSE_S = 600
WIDTH = 100


class WizardAnswers(Struct, frozen=True):
    """The answers to the five questions; without symbols, the shipped ones apply. Both risks are in percent."""

    mode: str = "sandbox"
    symbols: tuple[str, ...] = ()
    day_percent: Decimal = Decimal(2)
    trade_percent: Decimal = Decimal("0.1")
    short: bool = True
    overnight: bool = True


class Sizes(Struct, frozen=True):
    """Limits derived from the acceptable losses, as fractions of equity."""

    gross: Decimal
    sector: Decimal
    symbol: Decimal
    order: Decimal


def sizes_of(answers: WizardAnswers, shipped: "Settings") -> Sizes:
    """Return the largest sizes that keep the loss within the day's limit, even if every stop of a full book is hit."""
    limits, exits = shipped.limits_of("flow"), shipped.exits
    stop = exits.stop_loss_fraction
    lost = max(stop, limits.limit_offset_fraction) + limits.max_spread_fraction + exits.limit_offset_fraction
    book = (FULL_BOOK * answers.day_percent / HUNDRED / lost).quantize(STEP, ROUND_DOWN)
    gross = min(limits.max_gross_fraction, book)
    order = (answers.trade_percent / HUNDRED / stop).quantize(STEP, ROUND_DOWN)
    order = min(max(order, STEP), shipped.limits.max_order_fraction, gross)
    symbol = min(max(limits.max_symbol_fraction, order), gross)
    return Sizes(gross, min(max(limits.max_sector_fraction, symbol), gross), symbol, order)


def text_of(answers: WizardAnswers, shipped: "Settings") -> str:
    """Return the configuration for these answers; all other settings are as shipped."""
    return "\n".join(_lines(answers, shipped)) + "\n"


def _lines(answers: WizardAnswers, shipped: "Settings") -> Iterator[str]:
    yield (
        "# Your answers to tradebot init --wizard. All other settings are as shipped; "
        "config/base.yaml explains each setting."
    )
    yield "# To change one: tradebot config set KEY VALUE. To see what differs: tradebot config diff."
    yield ""
    yield "# 1. Where it trades. A bot's folder is made for one mode and stays with it."
    yield f"mode: {answers.mode}"
    yield ""
    yield from _symbols(answers, shipped)
    yield from _risk(answers, shipped)
    yield ""
    yield "strategies:"
    yield "  flow:"
    yield "    # 4. Whether it may sell short."
    yield f"    long_only: {'false' if answers.short else 'true'}"
    yield from _own_limits(answers, shipped)
    yield from _night(answers, shipped)


def _symbols(answers: WizardAnswers, shipped: "Settings") -> Iterator[str]:
    if not answers.symbols:
        yield f"# 2. Which symbols: the {len(shipped.universe)} shipped ones. To name your own: universe: [AAPL, MSFT]"
        yield ""
        return
    yield f"# 2. Which symbols: {pluralize(len(answers.symbols), 'symbol')}."
    yield from _wrap_list("universe: [", answers.symbols)
    unknown = [symbol for symbol in answers.symbols if symbol not in shipped.sectors]
    if unknown:
        yield "# tradebot doesn't know the sectors of these symbols, and it buys no symbol without one. Write the"
        yield "# real sectors here; until then, all of these count as one sector."
        yield "sectors:"
        yield from (f"  {symbol}: {UNSORTED}" for symbol in unknown)
    yield ""


def _wrap_list(before: str, names: Sequence[str]) -> Iterator[str]:
    line = before
    for index, name in enumerate(names):
        word = f"{name}{']' if index == len(names) - 1 else ', '}"
        if len(line) + len(word) > WIDTH:
            yield line.rstrip()
            line = " " * len(before)
        line += word
    yield line


def _risk(answers: WizardAnswers, shipped: "Settings") -> Iterator[str]:
    day, sizes = answers.day_percent / HUNDRED, sizes_of(answers, shipped)
    account, halts = shipped.limits, shipped.halts
    of_day, of_trade = f"{plain_number(answers.day_percent)}%", f"{plain_number(answers.trade_percent)}%"
    yield f"# 3. How much may be lost: {of_day} of equity on a day, {of_trade} on a trade."
    yield "limits:"
    yield from _commented_rows(
        2,
        {
            "max_daily_loss_fraction": (day, "after losing this much in a day, it opens no more positions"),
            "max_risk_fraction": (
                answers.trade_percent / HUNDRED,
                "the most that one entry may lose at its stop; limits its size",
            ),
            "max_gross_fraction": (
                min(account.max_gross_fraction, sizes.gross),
                "all positions: if every stop is hit, the loss stays within the daily limit",
            ),
            "max_sector_fraction": (
                min(account.max_sector_fraction, sizes.gross),
                "this and the next two are at most max_gross_fraction",
            ),
            "max_symbol_fraction": (min(account.max_symbol_fraction, sizes.gross), ""),
            "max_order_fraction": (min(account.max_order_fraction, sizes.gross), ""),
        },
    )
    yield "halts:"
    yield from _commented_rows(
        2,
        {
            "daily_loss_fraction": (HALTS_AT * day, "after losing this much in a day, it halts until tradebot unhalt"),
            "drawdown_fraction": (
                max(halts.drawdown_fraction, DRAWDOWNS * day),
                "it also halts if equity falls this far below its peak",
            ),
        },
    )


def _own_limits(answers: WizardAnswers, shipped: "Settings") -> Iterator[str]:
    sizes = sizes_of(answers, shipped)
    stop = shipped.exits.stop_loss_fraction
    at_stop = sizes.order * stop * HUNDRED
    yield "    # The strategy's own limits, computed from answer 3."
    yield "    limits:"
    yield from _commented_rows(
        6,
        {
            "max_gross_fraction": (sizes.gross, ""),
            "max_sector_fraction": (sizes.sector, ""),
            "max_symbol_fraction": (sizes.symbol, ""),
            "max_order_fraction": (
                sizes.order,
                f"loses {plain_number(at_stop)}% of equity at its stop, which is {plain_number(stop * HUNDRED)}% "
                "from the entry",
            ),
        },
    )


def _night(answers: WizardAnswers, shipped: "Settings") -> Iterator[str]:
    exits = shipped.exits
    if answers.overnight:
        yield "    # 5. It may hold overnight: the account's exits (exits: in config/base.yaml) close its positions."
        yield "    # Stops can't act while the market is closed."
        return
    yield "    # 5. It holds no positions overnight: the shipped exits, and one more before the close."
    yield "    exits:"
    yield f"      - stop_loss: {{fraction: {plain_number(exits.stop_loss_fraction)}}}"
    fraction, arm_fraction = plain_number(exits.trailing_stop_fraction), plain_number(exits.trailing_arm_fraction)
    trailing = f"fraction: {fraction}, arm_fraction: {arm_fraction}"
    yield f"      - trailing_stop: {{{trailing}}}"
    yield f"      - profit_target: {{fraction: {plain_number(exits.profit_target_fraction)}}}"
    yield f"      - time_exit: {{after_s: {exits.time_exit_s}}}"
    yield f"      - end_of_day: {{before_close_s: {BEFORE_CLOSE_S}}}  # seconds before the close"


def _commented_rows(indent: int, rows: Mapping[str, tuple[Decimal, str]]) -> Iterator[str]:
    for name, (value, comment) in rows.items():
        line = f"{' ' * indent}{name}: {plain_number(value)}"
        yield f"{line:<{38 + indent}}# {comment}" if comment else line


def plain_number(value: Decimal) -> str:
    """Return a number as text without trailing zeros."""
    return f"{value.normalize():f}"
