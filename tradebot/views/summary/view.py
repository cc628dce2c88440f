"""Describe one session: what the bot did and refused, its positions and profit, what changed, and what needs a person.

All sentences are composed here, so that terminal, page, document and chat message agree. Times in them are in UTC; each
display converts them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from textwrap import shorten

from tradebot.exits.exit_reasons import parse
from tradebot.judging.judgment import PERMISSION, HealthState, count_parts, rank_judgments
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.sentences import noun_for, pluralize, span
from tradebot.model.struct_tools import replace
from tradebot.model.trade import Trade
from tradebot.model.trading import TradingState
from tradebot.views.explain import CAUSES_IN_ORDER, deciding_reason, limits_blocking_entries, row_of, sentence_of
from tradebot.views.holdings import FOREIGN_OWNER, Holding
from tradebot.views.status import describe_waiting, quota
from tradebot.views.summary.values import (
    Closed,
    MissedByReason,
    PersonNeed,
    RefusalCount,
    Section,
    SessionRecords,
    Summary,
    SummaryPosition,
)
from tradebot.views.trades.trade_row import rule_of, side_of

SHORT = 900
"""The longest chat message, in characters."""
CLIPPED, FEW = 160, 3
"""The longest sentence in a message, and how many needs it lists."""


def summary(session_records: SessionRecords) -> Summary:
    """Describe a session in sentences."""
    entries = _entries(session_records)
    refusals = _refusals(session_records, entries)
    orders = session_records.ends[0] - sum(session_records.ends[1].values())
    candidates = session_records.ends[0] + sum(len(entry.refused_strategies) for entry in entries)
    summary_now = Summary(
        session=session_records.session.date,
        so_far=session_records.so_far,
        as_of=session_records.as_of,
        headline="",
        passes=len(entries),
        candidates=candidates,
        orders=orders,
        refusals=refusals,
        closed=tuple(map(_closed_of, session_records.closed)),
        money=session_records.money,
        positions=tuple(_held_of(holding) for holding in session_records.holdings or () if _is_ours(holding)),
        missed=_group_missed(session_records.missed),
        health={
            state.value: count
            for state, count in Counter(judgment.state for judgment in session_records.judgments).items()
        },
        quota=quota(session_records.passes),
        needs=tuple(_needs(session_records, refusals)),
        changes=tuple(_changes(session_records)),
        unknown=tuple(session_records.unknown),
        sections=(),
        short="",
    )
    return _write_summary(summary_now, session_records)


def _entries(session_records: SessionRecords) -> Sequence[CycleRecord]:
    return [cycle for cycle in session_records.passes if cycle.job is Job.TRADE_ONCE]


def _write_summary(summary: Summary, session_records: SessionRecords) -> Summary:
    first = _headline(summary, session_records)
    sections_by_title = {"What needs you": tuple(_needs_text(summary, session_records))}
    sections = {
        **(sections_by_title if summary.needs else {}),
        "What it did": (*_did(summary, session_records), *_trades(summary)),
        "Profit": tuple(_profit(summary, session_records)),
        "Compared with its backtest": tuple(session_records.beside),
        "Positions": tuple(_positions(summary, session_records)),
        "Missed slots": tuple(_slots(summary, session_records)),
        "Health": tuple(_health(session_records)),
        "Flow source": tuple(_quota(summary, session_records)),
        **sections_by_title,
        "What changed since the session before": summary.changes,
        "What isn't known": summary.unknown,
    }
    sections_shown = tuple(Section(title, tuple(lines)) for title, lines in sections.items() if lines)
    return replace(summary, headline=first, sections=sections_shown, short=_short(summary, session_records, first))


def _refusals(session_records: SessionRecords, entries: Sequence[CycleRecord]) -> tuple[RefusalCount, ...]:
    """Return the reasons with their counts, the most frequent first; a pass or a strategy refused whole counts once."""
    counts = Counter(session_records.ends[1])
    counts.update(_refused_passes(entries))
    for entry in entries:
        counts.update(refusal.decision.reason for refusal in entry.refused_strategies if refusal.decision.reason)
    return tuple(RefusalCount(reason, count, REASONS[reason].meaning) for reason, count in counts.most_common())


def _refused_passes(entries: Sequence[CycleRecord]) -> Counter[Reason]:
    """Return how many passes were refused as a whole for each reason."""
    return Counter(entry.job_decision.reason for entry in entries if entry.job_decision and entry.job_decision.reason)


def _closed_of(trade: Trade) -> Closed:
    rule = _rule(trade.reasons[0]) if trade.reasons else ""
    return Closed(trade.symbol, trade.strategy, side_of(trade.side), trade.realized_before_fees_usd, rule)


def _rule(why: str) -> str:
    """Return the first rule in a reason, in words; for a swap, name the symbol that the close made room for."""
    with suppress(ValueError):
        if newcomer := next((part.symbol for part in parse(why)[:1]), ""):
            return f"a swap for {newcomer}"
    return rule_of(why).replace("_", " ").lower()


def _is_ours(holding: Holding) -> bool:
    """Return True for a position of the bot of which the broker still has shares."""
    return holding.strategy != FOREIGN_OWNER and holding.is_held


def _held_of(lot: Holding) -> SummaryPosition:
    protection, price = lot.protection, lot.price
    resting = [each.price for each in protection.resting if each.is_stop] if protection else []
    own = [each.price for each in lot.stops if protection and each.rule == protection.rule and each.price is not None]
    # The stop that triggers first is the highest one below a long position, or the lowest above a short.
    sign = 1 if lot.quantity > 0 else -1
    stop = max(resting or own, key=lambda level: sign * level, default=None)
    distance = sign * (price - stop) / price if stop is not None and price else None
    amounts = lot.quantity, lot.average_price, price, lot.unrealized_usd, stop
    return SummaryPosition(lot.symbol, lot.strategy, *amounts, distance, at_broker=bool(resting))


NOBODY = "They weren't run, and no reason is recorded yet."


def _group_missed(slots: Sequence[tuple[str, str, str]]) -> tuple[MissedByReason, ...]:
    together = defaultdict[tuple[str, str], list[str]](list)
    for job, slot, why in slots:
        together[job, why].append(slot)
    return tuple(
        MissedByReason(
            job, len(names), names[0], names[-1], REASONS[Reason(why)].meaning if why in set(Reason) else NOBODY
        )
        for (job, why), names in together.items()
    )


def _needs(session_records: SessionRecords, refusals: Sequence[RefusalCount]) -> Iterator[PersonNeed]:
    if session_records.liquidated:
        what = f"The broker liquidated positions in {names(session_records.liquidated)}, because margin ran out."
        yield PersonNeed(what, "tradebot trades")
    if session_records.waiting:
        yield PersonNeed(describe_waiting(session_records.waiting), "tradebot approvals")
    findings = rank_judgments(session_records.judgments)
    broken = next((row for row in refusals if REASONS[row.reason].cause is Cause.BROKEN), None)
    # Health may be OK again by now; its consequences are reported anyway.
    if broken and session_records.judgments and not findings:
        whole = _refused_passes(_entries(session_records))[broken.reason] == broken.count
        refused = pluralize(broken.count, "pass", "passes") if whole else pluralize(broken.count, "candidate")
        yield PersonNeed(f"{refused} refused: {broken.meaning}", REASONS[broken.reason].remedy)
    by_cause = defaultdict[tuple[str, str], list[str]](list)
    for finding in findings:
        if finding.state is not HealthState.UNKNOWN:
            by_cause[finding.found, finding.next].append(finding.subject)
    for (cause, following), subjects in by_cause.items():
        subject = names(subjects)
        yield PersonNeed(f"{subject[:1].upper()}{subject[1:]}: {in_words(cause).rstrip('.')}.", following)
    if unknown := [judgment.subject for judgment in findings if judgment.state is HealthState.UNKNOWN]:
        yield PersonNeed(f"There is no evidence about {names(unknown)}.", "tradebot health")
    yield from (PersonNeed(in_words(note), "") for note in session_records.notes)


STATES = {
    TradingState.ACTIVE: "Trading was opened",
    TradingState.REDUCE_ONLY: "Trading was halted",
    TradingState.FLATTEN: "Closing everything was requested",
}


def _changes(session_records: SessionRecords) -> Iterator[str]:
    if session_records.is_first:
        yield "This is the bot's first session, so there is none to compare it with."
    yield from _turnover(session_records)
    if session_records.money is not None:
        yield f"Equity went from {session_records.money.before_usd:,.2f} to {session_records.money.after_usd:,.2f} USD."
    yield from _actions_of(session_records)
    yield from _code(session_records)


def _actions_of(session_records: SessionRecords) -> Iterator[str]:
    """Yield what people and programs did to the bot: halts, accepted configurations, starts."""
    for state in session_records.states:
        at = f" at {utc(state.at)}" if state.at else ""
        who = f" by {state.who}" if state.who else ""
        yield f"{STATES[state.state]}{at}{who}: {in_words(state.why)}."
    for who, accepted_at, settings in session_records.accepted:
        what = f"changes of {names(settings)}" if settings else "the same settings again"
        yield f"At {utc(accepted_at)}, {who} accepted {what}."
    for started_at, version in session_records.restarts:
        yield f"At {utc(started_at)}, serve of tradebot {version} was started."


def _turnover(session_records: SessionRecords) -> Iterator[str]:
    """Yield which positions are new, which are gone, and how many came and went in between."""
    gone = [trade.symbol for trade in session_records.closed if trade.opened_at <= session_records.since]
    if session_records.opened:
        yield f"New {noun_for(len(session_records.opened), 'position')}: {names(session_records.opened)}."
    if gone:
        was, is_ = noun_for(len(gone), "was", "were"), noun_for(len(gone), "is", "are")
        yield f"{names(gone)} {was} held before and {is_} closed."
    if between := len(session_records.closed) - len(gone):
        yield f"{pluralize(between, 'position')} {noun_for(between, 'was', 'were')} opened and closed again."
    if (
        not (session_records.opened or session_records.closed or session_records.is_first)
        and session_records.holdings is not None
    ):
        yield "No position was opened or closed."


def _code(session_records: SessionRecords) -> Iterator[str]:
    before, after = (
        {k: v for cycle in passes for k, v in (cycle.code or {}).items()}
        for passes in (session_records.before, session_records.passes)
    )
    changed = [name for name, digest in after.items() if before and before.get(name) != digest]
    if changed:
        yield f"The code of {names(changed)} is new."
    if gone := [name for name in before if after and name not in after]:
        yield f"{names(gone)} {noun_for(len(gone), 'is', 'are')} no longer in use."


def _headline(summary: Summary, session_records: SessionRecords) -> str:
    money = summary.money
    halted = any(judgment.subject == "halts" and judgment.state.is_finding for judgment in session_records.judgments)
    needs = (
        f"{pluralize(len(summary.needs), 'thing')} {noun_for(len(summary.needs), 'needs', 'need')} you"
        if summary.needs
        else ""
    )
    result_text = ""
    if money is not None and money.before_usd:
        result_text = f"{format_signed_usd(money.profit_usd)} ({percent(money.profit_usd / money.before_usd)})"
        result_text += "" if money.benchmark is None else f" against SPY's {percent(money.benchmark)}"
    did = f"{pluralize(summary.orders, 'order')} sent" if summary.orders else "no order sent"
    closed = f"{pluralize(len(summary.closed), 'trade')} closed" if summary.closed else ""
    parts = filter(None, ("trading is halted" if halted else "", needs, result_text, did, closed))
    return f"{summary.session:%A %Y-%m-%d}{' so far' if summary.so_far else ''}: {', '.join(parts)}"


VERDICTS = {
    Cause.IDLE: "It sent no order, as designed",
    Cause.BLOCKED: "It sent no order, because something blocked it",
    Cause.BROKEN: "It sent no order, because something is broken",
    Cause.UNKNOWN: "It isn't known whether an order was sent",
}


def _verdict(reasons: Iterable[Reason], shut: Iterable[Decision]) -> str:
    """Return the sentence for the worst cause among these reasons and the limits that block all entries."""
    causes = (*(REASONS[reason].cause for reason in reasons), *(row_of(decision).cause for decision in shut))
    return VERDICTS[min(causes, key=CAUSES_IN_ORDER.index)]


def _did(summary: Summary, session_records: SessionRecords) -> Iterator[str]:
    if not session_records.recorded:
        return
    if not summary.passes:
        yield "No pass looked for entries." if not session_records.so_far else "No pass has looked for entries yet."
        return
    entries = _entries(session_records)
    if entries and all(entry.job_decision and entry.job_decision.reason is Reason.MARKET_CLOSED for entry in entries):
        yield "No pass looked for entries while the market was open."
        return
    shut = limits_blocking_entries(entries[-1:] if summary.orders else entries)
    # The reason is given in words, by its meaning.
    reasons = [in_words(sentence_of(decision, row_of(decision).meaning)) for decision in shut]
    whole = _refused_passes(entries)
    looked_in = pluralize(summary.passes - whole.total(), "pass", "passes")
    looked = f"In {looked_in} it evaluated {pluralize(summary.candidates, 'candidate')}"
    counts = Counter({row.reason: row.count for row in summary.refusals}) - whole
    waited = counts.pop(Reason.APPROVAL_WAITING, 0)
    waits = f", {waited:,} waited for a person's approval" if waited else ""
    if summary.orders:
        refused = summary.candidates - summary.orders - waited
        rest = f", and the other {refused:,} {noun_for(refused, 'was', 'were')} refused" if refused else ""
        yield f"{looked}: {summary.orders:,} became {noun_for(summary.orders, 'an order', 'orders')}{waits}{rest}."
        yield from reasons
    elif counts:
        reason = deciding_reason(counts)
        all_of_them = noun_for(summary.candidates, "it", "each")
        share = all_of_them if counts[reason] == summary.candidates else f"{counts[reason]:,} of them"
        refused_by = f"and refused {share}, because {mid_sentence(REASONS[reason].meaning)}"
        looked += f"{waits}{',' * bool(waits)} {refused_by}"
        yield " ".join((f"{_verdict((*counts, *whole), shut)}.", *reasons, looked))
    elif waits:
        yield f"It sent no order: {mid_sentence(looked)}{waits}."
        yield from reasons
    elif len(entries) > whole.total():
        waiting = sorted({waiting.strategy for cycle in session_records.passes for waiting in cycle.waiting})
        was = noun_for(len(waiting), "was", "were")
        why = f"{names(waiting)} {was} not due" if waiting else "no strategy wanted any"
        yield f"It sent no order: {why}, in {looked_in}."
        yield from reasons
    else:
        yield " ".join((f"{_verdict(whole, shut)}.", *reasons))
    for reason, count in whole.most_common():
        was = noun_for(count, "was", "were")
        yield f"{pluralize(count, 'pass', 'passes')} {was} refused as a whole: {mid_sentence(REASONS[reason].meaning)}"


def _trades(summary: Summary) -> Iterator[str]:
    closed = sorted(summary.closed, key=lambda trade: trade.profit_usd)
    if not closed:
        return
    won, total = sum(trade.profit_usd > 0 for trade in closed), sum((trade.profit_usd for trade in closed), Decimal(0))
    if len(closed) == 1:
        yield f"It closed one trade: {_trade(closed[0])}, before fees."
        return
    yield f"It closed {len(closed):,} trades, {won:,} of them with a gain: {format_signed_usd(total)} before fees."
    yield f"The best was {_trade(closed[-1])}; the worst {_trade(closed[0])}."


def _trade(deal: Closed) -> str:
    return f"{deal.symbol} {deal.side}, {format_signed_usd(deal.profit_usd)}{f' by {deal.rule}' if deal.rule else ''}"


def _profit(summary: Summary, session_records: SessionRecords) -> Iterator[str]:
    money = summary.money
    if money is None:
        if session_records.holdings is not None:
            yield "No pass read the account's equity, so its profit isn't known."
        return
    profit_usd = money.profit_usd
    share = f" ({percent(profit_usd / money.before_usd)})" if money.before_usd else ""
    moved = f", besides {format_signed_usd(money.transfers_usd)} moved in or out" if money.transfers_usd else ""
    yield f"The account made {format_signed_usd(profit_usd)}{share}{moved}, and is worth {money.after_usd:,.2f} USD."
    if money.benchmark is None or not money.before_usd:
        yield money.without
        return
    yield f"SPY made {percent(money.benchmark)}: {_beside(profit_usd / money.before_usd, money.benchmark)}."
    if money.first_usd and money.benchmark_since is not None:
        whole = (money.after_usd - money.first_usd) / money.first_usd
        ahead = _beside(whole, money.benchmark_since)
        yield f"Since {money.since} it made {percent(whole)}, SPY {percent(money.benchmark_since)}: {ahead}."


def _beside(own: Decimal, benchmark: float) -> str:
    points = round(100 * (float(own) - benchmark), 2)
    if not points:
        return "the account did the same"
    return f"the account is {abs(points):.2f} percentage points {'ahead' if points > 0 else 'behind'}"


def _positions(summary: Summary, session_records: SessionRecords) -> Iterator[str]:
    if session_records.holdings is None:
        return
    if not summary.positions:
        yield (
            "According to its books, it has no positions."
            if session_records.judgments
            else "It had no positions at the close."
        )
    else:
        gains = [position.gain_usd for position in summary.positions if position.gain_usd is not None]
        amount = format_signed_usd(sum(gains, Decimal(0)))
        since = noun_for(len(summary.positions), "since it was opened", "together since they were opened")
        worth = f", {amount} {since}" if gains else ""
        verb = "holds" if session_records.judgments else "held"
        yield f"It {verb} {pluralize(len(summary.positions), 'position')}{worth}."
    if session_records.judgments and summary.positions:
        yield from _stops(summary.positions)
    shares, gains = dict[str, Decimal](), list[Decimal]()
    for holding in session_records.holdings:
        if holding.closed_by_others and holding.strategy != FOREIGN_OWNER:
            shares[holding.symbol] = shares.get(holding.symbol, Decimal(0)) + holding.closed_by_others
            gains += [holding.unrealized_usd] if not holding.is_held and holding.unrealized_usd is not None else []
    if shares:
        gain_text = f", which made {format_signed_usd(sum(gains, Decimal(0)))}" if gains else ""
        yield f"Somebody else closed {names(list(shares))} at the broker{gain_text}. tradebot reconcile can book that."
    foreign = (holding for holding in session_records.holdings if holding.strategy == FOREIGN_OWNER)
    if others := [lot.symbol for lot in foreign if lot.is_held]:
        is_ = noun_for(len(others), "is", "are")
        yield f"{names(others)} in the account {is_} not the bot's, which leaves it alone."


def _stops(positions: Sequence[SummaryPosition]) -> Iterator[str]:
    if all(position.at_broker for position in positions):
        yield f"{'Each has its stop' if len(positions) > 1 else 'Its stop rests'} at the broker."
        return
    if bare := [position.symbol for position in positions if position.stop_usd is None]:
        yield f"No stop is known for {names(bare)}."
    if ours := [position.symbol for position in positions if position.stop_usd is not None and not position.at_broker]:
        stops, rest, them = ("stop", "doesn't", "it") if len(set(ours)) == 1 else ("stops", "don't", "them")
        yield f"The {stops} of {names(ours)} {rest} rest at the broker; the bot itself watches {them}."


def _slots(summary: Summary, session_records: SessionRecords) -> Iterator[str]:
    for why in dict.fromkeys(reason.why for reason in summary.missed):
        some = [reason for reason in summary.missed if reason.why == why]
        count = sum(reason.count for reason in some)
        spans = (f"{reason.first} to {reason.last}" if reason.count > 1 else reason.first for reason in some)
        which = "; ".join(f"{reason.count:,} of {reason.job}, {span}" for reason, span in zip(some, spans, strict=True))
        yield f"{pluralize(count, 'slot')} {noun_for(count, 'was', 'were')} missed: {which}. {why}"
    if not summary.missed and session_records.slots:
        yield f"None of {pluralize(session_records.slots, 'slot')} was missed."


def _health(session_records: SessionRecords) -> Iterator[str]:
    if not session_records.judgments:
        return
    findings = rank_judgments(session_records.judgments)
    # Permission isn't a part of the bot.
    counted = count_parts([part for part in session_records.judgments if part.subject != PERMISSION])
    yield f"{counted}." if findings else f"All is well: {counted}."
    if ill := [finding.subject for finding in findings if finding.state is not HealthState.UNKNOWN]:
        yield f"Not OK: {names(ill)}."
    if unknown := [finding.subject for finding in findings if finding.state is HealthState.UNKNOWN]:
        yield f"No evidence about: {names(unknown)}."
    due = [judgment.subject for judgment in session_records.judgments if judgment.state is HealthState.NOT_DUE]
    if due:
        yield f"Not due yet: {names(due)}."


def _quota(summary: Summary, session_records: SessionRecords) -> Iterator[str]:
    used = summary.quota
    if used is None or used.used_today is None:
        if any(cycle.job is Job.FETCH_FLOW for cycle in session_records.passes):
            yield "The flow source hasn't said how many calls were used."
        return
    limit = used.daily_limit
    share = f", {used.used_today / limit:.1%} of the {limit:,} a day that the plan allows" if limit else ""
    was = noun_for(used.used_today, "was", "were")
    yield f"{pluralize(used.used_today, 'call')} {was} used by {utc(used.at)}{share}."


def _needs_text(summary: Summary, session_records: SessionRecords) -> Iterator[str]:
    for need in summary.needs:
        yield f"{need.what} Next: {need.next}" if need.next else need.what
    if not summary.needs and session_records.judgments:
        yield "Nothing."


def clip_line(line: str, command: str = "") -> str:
    """Shorten a line of the message to CLIPPED characters, without cutting the command at its end."""
    last = f" Next: {command}" if command else ""
    return shorten(line, CLIPPED - len(last), placeholder="…") + last


def _short(day: Summary, records: SessionRecords, first: str) -> str:
    """Return the message: the headline, then what needs a person, then the rest as far as it fits."""
    needs, positions = day.needs, day.positions
    lines = [clip_line(f"- {need.what}", need.next) for need in needs[:FEW]]
    lines += [f"- {len(needs) - FEW:,} more; tradebot summary shows all."] if len(needs) > FEW else []
    lines += [*_did(day, records), *list(_trades(day))[:1]]
    gains = [f"{lot.symbol}{'' if lot.gain_usd is None else f' {lot.gain_usd:+,.0f} USD'}" for lot in positions]
    if records.judgments and records.holdings is not None:
        lines.append(f"It holds {names(gains) if positions else 'nothing'}.")
    lines += _slots(day, records) if day.missed else ()
    lines += [*_quota(day, records), *_actions_of(records), *records.unknown]
    lines += (
        [] if day.needs or day.unknown or not records.judgments else ["All is well, and nothing needs your attention."]
    )
    message = first
    for line in map(clip_line, lines):
        message += f"\n{line}" if len(message) + len(line) < SHORT else ""
    return message


NAMED = 8
"""How many symbols or settings are named in a sentence; others are counted."""
_PLAIN = {
    "ACTIVE": "open",
    "REDUCE_ONLY": "halted (no new positions)",
    "FLATTEN": "halted (closing everything)",
    "BROKEN": "broken",
    "HALTED": "halted",
    "not_placed": "never placed",
}
_CODE = re.compile(rf"\b(?:{'|'.join(_PLAIN)}|[A-Z]+(?:_[A-Z]+)+)\b")

_SECONDS = re.compile(r"\b(\d[\d,]*) s\b")


def in_words(text: str) -> str:
    """Replace each code in a recorded text by words: a reason's meaning, a trading state."""
    worded = _CODE.sub(lambda match: _PLAIN.get(match[0]) or _meaning(match[0]), text)
    return _SECONDS.sub(lambda match: span(float(match[1].replace(",", ""))), worded)


def _meaning(code: str) -> str:
    return mid_sentence(REASONS[Reason(code)].meaning).rstrip(".") if code in set(Reason) else code


def mid_sentence(sentence: str) -> str:
    """Return a sentence in the form it has in the middle of another."""
    return sentence[:1].lower() + sentence[1:]


def utc(at: datetime) -> str:
    """Format a moment as it appears in recorded sentences."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def names(names_to_join: Sequence[str]) -> str:
    """Join names for a sentence; if there are many, give the first ones and the number of others."""
    shown = list(dict.fromkeys(names_to_join))
    *rest, last = shown if len(shown) <= NAMED else (*shown[: NAMED - 1], f"{len(shown) - NAMED + 1} more")
    return f"{', '.join(rest)} and {last}" if rest else last


def format_signed_usd(amount: Decimal) -> str:
    """Return an amount to the cent with its sign and unit."""
    return f"{round(amount, 2) + 0:+,.2f} USD"


def percent(fraction: float | Decimal) -> str:
    """Return a fraction as a percentage with its sign."""
    return f"{round(100 * float(fraction), 2) + 0.0:+.2f}%"
