"""A limit on the account that refuses every entry is told by each verb that tells a verdict, whatever refused first."""

from contextlib import closing
from decimal import Decimal

import pytest

from tests.kit.bot.folder import Bot, second_session
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.account import EquityPeak
from tradebot.views.explain import FROM_NOTHING

MEANING = "quity is so far below its peak that nothing is opened, so it can't recover by itself"
SAID = f"Entries are blocked (DRAWDOWN_STAYS, 8.00% against 5.00%): E{MEANING}."
IN_WORDS = f"ntries are blocked (e{MEANING}, 8.00% against 5.00%)"
REMEDY = "Decide whether the bot should go on: tradebot report shows what was lost."
TRADED = f"""\
Entries at 2026-11-17 10:00:00 ET, slot open+27m
  4 candidates = 0 sent + 4 refused
symbol  side   score  ended at  observed       limit  reason
AMZN    sell  -0.195  score       0.1954        0.99  SCORE_BELOW_MIN
NVDA    buy   +0.153  strategy  0 alerts     1 alert  CLUSTER_TOO_SMALL
MSFT    buy   +0.077  strategy  1 family  2 families  FAMILIES_TOO_FEW
AAPL    buy   +0.047  strategy  0 alerts     1 alert  CLUSTER_TOO_SMALL
  CLUSTER_TOO_SMALL: Too few alerts point the same way within the cluster window.
  SCORE_BELOW_MIN: The score is too weak.
  FAMILIES_TOO_FEW: Too few independent kinds of data agree with the score's direction.
Blocked: {SAID} Next: {REMEDY}
Next: tradebot why-no-orders SYMBOL shows every gate's answer for one symbol"""
EXPLAINED = f"""\
BLOCKED  {SAID} 2 of 4 candidates ended at CLUSTER_TOO_SMALL: Too few alerts point the same way within the cluster \
window.
Next: {REMEDY}
Then: All 2 would be refused next, by SCORE_BELOW_MIN. Nothing to do: the candidate is evaluated again whenever \
its strategy proposes it.

Looked at: the pass at 2026-11-17 10:00:00 ET, slot open+27m
Funnel: 4 candidates = 0 orders + 2 + 1 + 1 refused
reason             count            nearest miss  observed       limit  off by  meaning
CLUSTER_TOO_SMALL      2  ████████  AAPL          0 alerts     1 alert    100%  Too few alerts point the same way \
within the cluster window.
FAMILIES_TOO_FEW       1  ████      MSFT          1 family  2 families     50%  Too few independent kinds of data \
agree with the score's direction.
SCORE_BELOW_MIN        1  ████      AMZN            0.1954        0.99     80%  The score is too weak."""
SUMMED_UP = (
    f"It sent no order, because something blocked it. E{IN_WORDS}. In 1 pass it evaluated 4 candidates and refused 2 "
    "of them, because too few alerts point the same way within the cluster window."
)
HEALTH = (
    "DEGRADED  entries     ran in 1 of 81 slots; finished 1 pass; entries are blocked (DRAWDOWN_STAYS, 8.00% against "
    f"5.00%) (1 pass)\n                      next: {REMEDY}\n"
)


@pytest.fixture
def fallen(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> Bot:
    """Return a bot that holds nothing, whose equity was higher once, and whose candidates are all too weak."""
    second_session(bot)
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_DRAWDOWN_FRACTION", "0.05")
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW__LIMITS__MIN_SCORE", "0.99")
    with closing(SqliteLedger.open(bot.folder)) as ledger:
        ledger.put_equity_peak(EquityPeak(Decimal(100_000) / Decimal("0.92"), Decimal(0)))
    return bot


def test_each_verdict_is_blocked_by_the_limit_though_all_candidates_are_too_weak(fallen: Bot) -> None:
    assert fallen.shown("trade-once") == TRADED
    assert fallen.shown("why-no-orders") == EXPLAINED
    summary = fallen.shown("summary")
    assert SUMMED_UP in summary
    assert f"finished 1 pass; e{IN_WORDS}. Next: {REMEDY}" in summary
    assert HEALTH in fallen.shown("health")
    assert f"entries are blocked (DRAWDOWN_STAYS, 8.00% against 5.00%). Next: {REMEDY}" in fallen.shown("status")


def test_symbol_that_a_threshold_refused_says_how_to_try_another(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    second_session(bot)
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW__LIMITS__MIN_SCORE", "0.99")
    bot.says("trade-once")
    what_if = "tradebot why-no-orders AMZN --what-if strategies.flow.limits.min_score=VALUE"
    assert bot.json("why-no-orders", "AMZN")["what_if"] == what_if
    assert f"What if: {what_if}" in bot.shown("why-no-orders", "AMZN")
    without_signal = bot.json("why-no-orders", "AAPL")
    assert (without_signal["remedy"], without_signal["what_if"]) == (FROM_NOTHING, None)
