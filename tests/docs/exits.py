"""docs/internals/EXITS.md: the kinds of exit rules, as their files describe them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tradebot.exits.exit_rule import ExitRule, RuleInput
from tradebot.exits.rules import kinds
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "EXITS.md"
LEAD = """\
# Exit rules

`python -m tests.docs` writes this page from `tradebot/exits/kinds/`: stops, targets, times and signals have a
file each. To add a rule, follow [the recipe](../recipes/exit-rule.md).

A strategy lists its rules under `strategies.NAME.exits`; without a list, the account's rules under `exits:` count.
A strategy may also open a position with its own stop, target or scale-out. `tradebot init --profile intraday`
and `--profile overnight` begin with lists that use these rules.

```yaml
strategies:
  flow:
    exits:
      - stop_loss: {fraction: 0.02}
      - scale_out: {levels: [{fraction: 0.02, share: 0.5}, {fraction: 0.05, share: 0.5}]}
      - end_of_day: {before_close_s: 600}
```

## How they are judged

- Each pass of `evaluate-exits` asks all rules of a position, in every trading state. Their order in the list doesn't
  matter.
- Rules that close the whole position are stronger than those that close a part, and a larger part is stronger than a
  smaller one. Among equals, the table's order counts. The strongest rule gives the decision its reason and numbers.
- Everything that fired is recorded with the order as one text, the strongest first, such as
  `trail_stop(-1.2%)+signal_decay(0.65)`. `tradebot/exits/exit_reasons.py` writes it and reads it back.
- A price at which a rule would close a position is asked for again first, once a pass, so one wrong quote closes
  nothing. The second answer counts, unless both the first quote and the latest trade contradict it; then that trade
  counts. If no second answer comes, or one with the same time that the last trade contradicts (it is farther away than
  `max_spread_fraction`), that trade decides. The best price moves no farther than the last trade.
- While a stop rests at the broker for the whole position, no rule of price closes it at a quote that is older than
  `max_quote_age_s`, nor at one that a trade of that time contradicts: the decision is UNKNOWN, and the stop stays.
- An exit's limit is no farther from a recent trade than `price_collar_fraction`. `flatten`, halts and exits by time
  never wait for a quote: without one they are market orders, where the broker takes them.
- A rule that lacks something it needs is UNKNOWN. It never fires on a made-up value, and it keeps no other rule from
  closing the position. Without a quote, or while the clocks disagree, the whole decision is UNKNOWN unless another
  rule closes the position. If anything else is missing, the decision is UNKNOWN only if no rule could tell; otherwise
  the position is held, and `why-no-orders SYMBOL` shows `EXIT_INPUT_MISSING` with what is missing.
- A gain is positive if the position earns, long or short. Prices are those at which it could be closed now: the bid
  for a long, the ask for a short.
- Rules that contradict each other don't load, such as a minimum hold that is longer than the time exit.

## Positions that end in steps

A strategy whose entries have their own stop and average true range can end its positions in steps. These rules take
40 % at 1 R and 40 % at 2.5 R, move the stop to the entry price once 30 % is out, and let the rest run behind a trailing
stop, until a target beyond 2.5 R ends it.

```yaml
exits:
  - ladder: {levels: [{r: 1, share: 0.4}, {r: 2.5, share: 0.4}]}
  - break_even: {after_share: 0.3}
  - atr_trail: {multiple: 1.5, arm_r: 1, tighten: [{r: 3, multiple: 1.5}, {r: 5, multiple: 1.4}, {r: 8, multiple: 1}]}
```

What such an entry asks for, its stop and its target, is measured from the average price of all its fills, so the levels
stay where they are when a part is closed.
"""
RULES = """
## The kinds

The amount in brackets in a composed reason is the observed value, except: the trailing stop shows the pullback as a
negative number, and so does the ATR trail, which measures it in the entry price. Signal decay shows the score now as a
share of the entry's.
"""
INPUTS = """
## What they need
"""
ABSENT: dict[RuleInput, tuple[str, str]] = {
    RuleInput.QUOTE: ("the broker's latest bid and ask", "the broker sent no valid quote"),
    RuleInput.CLOCK: ("the broker's clock", "the broker's clock and this machine's disagree"),
    RuleInput.SESSION: ("the trading calendar", "no session is known for this day"),
    RuleInput.TICK: ("the broker's list of instruments", "it isn't known what the position is in"),
    RuleInput.ORIGINAL_QUANTITY: ("the fills since the position was opened", "the books don't know what was opened"),
    RuleInput.ENTRY_STOP: (
        "the stop that the entry itself asked for",
        "it asked for none, or the position was adopted",
    ),
    RuleInput.ENTRY_ATR: ("the average true range that the entry said", "it said none, or the position was adopted"),
    RuleInput.ENTRY_SCORE: ("the score of the candidate that was entered", "it was opened without a score, or adopted"),
    RuleInput.SCORES: ("each pass of entries since the entry", "its strategy hasn't scored the symbol since"),
    RuleInput.NOISE: ("how the symbol's score changes from pass to pass", "too few scores, or they never changed"),
    RuleInput.FLOW: ("the flow score's direction", "no usable flow is stored"),
    RuleInput.OPEN_INTEREST: ("open interest of the contracts behind the entry", "none was reported since the entry"),
    RuleInput.REGIME: ("the market's volatility, gamma, breadth and tide", "one of them isn't known"),
    RuleInput.EVENT: ("the calendars", "no event is known, which may also mean that there is none"),
    RuleInput.MOMENTUM: ("the return of the last hour", "the bars of that hour are missing"),
    RuleInput.LIQUIDATION: (
        "the account's margin, and the broker's margin levels and marks",
        "one of them isn't known",
    ),
    RuleInput.MOVEMENT: ("highest and lowest price since the entry", "no price was seen since the entry"),
}
"""Where each input comes from, and what it means if it is absent."""


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        escaped = (cell.replace("|", "\\|") for cell in cells)
        yield f"| {' | '.join(escaped)} |\n"


def _unit(kind: type[ExitRule]) -> str:
    units = REASONS[kind.reason].units
    unit = units[0] if units else Unit.SHARE_OF_WHOLE
    return "number" if unit is Unit.NONE else unit.value[0]


def _rules() -> Iterator[Sequence[str]]:
    for name, kind in sorted(kinds().items(), key=lambda item: (item[1].rank, item[1].reason)):
        closes = " ".join((kind.__doc__ or "").split())
        settings = ", ".join(f"`{field}`" for field in kind.model_fields)
        yield f"`{name}`", closes, settings, f"`{kind.reason}`", _unit(kind), ", ".join(kind.needs)


def _inputs() -> Iterator[Sequence[str]]:
    assert set(ABSENT) == set(RuleInput), "tests/docs/exits.py: say of each input where it comes from"
    for what in RuleInput:
        yield what.value, *ABSENT[what]


def page() -> str:
    rules = _table(("rule", "what it does", "settings", "reason", "unit", "needs"), _rules())
    inputs = _table(("input", "comes from", "absent if"), _inputs())
    return "".join((LEAD, RULES, "\n", *rules, INPUTS, "\n", *inputs))
