"""What `halt` shows after its first line."""

from pathlib import Path

from commands.halt.report import FLATTEN, Latch, Orders, Request
from commands.shared.hints import aimed
from commands.shared.plain import clean
from tradebot.model.text import counted

RECOVER = "tradebot recover"


def further_lines(path: Path, request: Request, latch: Latch, orders: Orders | None) -> str:
    """Return the lines about the state in force, the working orders, and the next command."""
    if latch.unwritten is not None:
        from commands.halt.unwritten import lines_of

        return aimed("\n".join(lines_of(path, request, latch, orders)))
    lines = []
    if latch.state != latch.announced:
        lines.append(f"  {latch.state} is in force, because the ledger's history says so")
    if latch.requested == FLATTEN != latch.state:
        lines.append(f"  {latch.state} is in force; {FLATTEN} couldn't be written: run the command again")
    if latch.unrecorded:
        lines.append(f"  the halt is in force, but the ledger's history doesn't have it: {latch.unrecorded}")
    if latch.in_flight:
        lines.append(f"  an order that started earlier is still in flight: {clean(latch.in_flight)}")
        lines.append("  next: tradebot evaluate-exits cancels it; tradebot orders shows it")
    elif orders:
        closing = counted(orders["closing"], "closing order")
        lines.append(f"  working orders: {orders['cancelled']} canceled, {closing} sent")
        if orders["problem"]:
            lines.append(f"  not everything was done: {orders['problem']}")
            if not latch.unrecorded and _next_step(latch, orders) != RECOVER:
                lines.append("  next: tradebot evaluate-exits")
    lines.append(f"Only orders that reduce risk are sent. Next: {_next_step(latch, orders)}, then tradebot unhalt")
    return aimed("\n".join(lines))


def _next_step(latch: Latch, orders: Orders | None) -> str:
    """Return `tradebot recover` if the books have to be rebuilt first, because nothing else can open them then."""
    problems = (latch.unrecorded, orders["problem"] if orders else None)
    return RECOVER if any(RECOVER in problem for problem in problems if problem) else "tradebot status"
