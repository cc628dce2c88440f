"""The learning loop as a drill: a market is made up whose edge ends, and the exchange's log says who sent what."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from papervenue import process
from tests.kit.bot.folder import Bot, typed
from tradebot.adapters.models.signing import make_key
from tradebot.errors import ExitCode
from tradebot.lab.learning.training.job import usual_features

FIRST, START, ENDS, LAST = (date(2026, *day) for day in ((9, 9), (10, 5), (11, 3), (12, 4)))
"""When the market's bars begin, when the bot does, when the edge ends, and the last session."""
HALF, SESSION = 690, 1380
"""The minutes of half a session and of a whole one."""
CONFIGURATION = """venue: ibkr
universe: [MES]
sectors: {{MES: indexes}}
strategies:
  flow: null
  futures: null
  policy:
    {{mode: training, shadow: until_promoted, folder: {models}, public_key: {public}, allotment_fraction: 1, exits: []}}
limits: {{max_contracts: 3, max_order_contracts: 2}}
promotion:
  by_itself: paper
  splits: {{train_months: 1, test_months: 1}}
  shadow: {{sessions: 20, trades: 10, costs_times: null, drawdown_worse: null}}
  paper:
    {{sessions: 20, trades: 10, costs_times: null, drawdown_worse: null,
     policy: {{sessions: null, trades: null, seeds: 1, deflated_sharpe: null, sharpe_low: null, spa_p: null}}}}
timetable:
  trade-once: every 1m from open+1m until close
  evaluate-exits: every 5m from open+1m until close
  reconcile: every 4m from open+3m until close
  shadow: {{verb: shadow, when: every 5m from open+3m until close, late: skip, limit: 4m}}
"""


def made_up_minutes() -> Iterator[str]:
    """Yield minutes of a market that rises in the first half of a session and falls in the second; later reversed."""
    chance, price, day = random.Random(3), 24_000, FIRST  # noqa: S311 - prices in ticks, not secrets
    while day <= LAST:
        opens = datetime(day.year, day.month, day.day, 17, tzinfo=ZoneInfo("America/Chicago")) - timedelta(days=1)
        is_session = day.weekday() < 5 and day not in (date(2026, 11, 26), date(2026, 11, 27))
        for minute in range(SESSION if is_session else 0):
            side = (1 if minute < HALF else -1) * (1 if day < ENDS else -1)
            after = price + side * (minute % 12 == 0) + chance.choice((-1, 0, 0, 0, 0, 1))
            low, high = min(price, after) - 1, max(price, after) + 1
            at = (opens + timedelta(minutes=minute)).isoformat()
            yield f"{at},MESZ6,{price / 4},{high / 4},{low / 4},{after / 4},50\n"
            price = after
        day += timedelta(days=1)


class DrillBot(Bot):
    """The bot of the drill, driven by the verbs that its timetable would run."""

    def orders_at_the_exchange(self) -> int:
        (row,) = self.json("exchange", "status")["accounts"]
        return int(row["orders"])

    def rung(self) -> str:
        (row,) = self.json("promote")["strategies"]
        return str(row["rung"])

    def plays(self, verb: str, chore: str, most: int) -> int:
        """Play sessions, with a pass in each half and a chore at its end, until the chore changes something."""
        before = self.rung()
        for played in range(1, most + 1):
            for hours in ("1h", "11h"):
                self.does(f"exchange tick {hours}", "reconcile", verb)
                self.does("exchange tick 2m", "reconcile")
            self.does("exchange tick next_open")
            assert self.says(*chore.split()).code in (0, 10)
            if self.rung() != before:
                return played
        raise AssertionError(f"{chore} changed nothing in {most} sessions")


@pytest.mark.campaign
def test_loop_promotes_a_policy_while_its_edge_lasts_and_falls_back_on_the_rule_once_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars, folder, key = tmp_path / "mes.csv", tmp_path / "bot", tmp_path / "key"
    bars.write_text("".join(["ts,symbol,open,high,low,close,volume\n", *made_up_minutes()]))
    (tmp_path / "c.yaml").write_text(CONFIGURATION.format(models=tmp_path / "models", public=make_key(key)))
    made = f"init --config {tmp_path / 'c.yaml'} --bars {bars} --bar-stamp start --start {START} --state-dir {folder}"
    assert typed(capsys, *made.split())[0] == 0
    bot = DrillBot(folder, capsys)
    try:
        without = " ".join(f"--without {name}" for name in usual_features() if not name.startswith("minute_"))
        span = f"--bars {bars} --bar-stamp start --from 2026-09-14 --to 2026-10-02 --results {tmp_path / 'kept'}"
        walk = f"learn policy walk --agent logistic {without} --key {key} {span} --shadow".split()
        walked = bot.says(*walk)
        assert walked.code == 0, walked.out + walked.err
        bot.does("exchange tick next_open")
        sessions = bot.plays("shadow", "promote --by-itself", 26)
        assert (bot.rung(), sessions >= 20, bot.orders_at_the_exchange()) == ("paper", True, 0)
        assert bot.says(*walk).out.startswith("Nothing is trained: policy was promoted")
        sessions = bot.plays("trade-once --force-slot", "demote", 24)
        assert (bot.rung(), sessions >= 20) == ("shadow", True)
        sent = bot.orders_at_the_exchange()
        assert sent > sessions, "a position is opened and closed in each"
        bot.does("exchange tick 5h", "reconcile")
        refused = bot.says("trade-once", "--force-slot")
        assert (refused.code, "DEMOTED" in refused.out) == (ExitCode.REFUSED, True)
        assert bot.says(*walk).code == 0
        bot.does("promote --by-itself")
        assert (bot.rung(), bot.orders_at_the_exchange()) == ("candidate", sent), "its new model has shown nothing yet"
        bot.does(f"retire policy --confirm {bot.tail()}", "exchange tick 1h", "reconcile", "trade-once --force-slot")
        assert bot.orders_at_the_exchange() > sent
        (told,) = [one for one in bot.json("status")["passes"] if one["job"] == "trade-once"]
        assert "policy acts by its rule (MODEL_RETIRED)" in told["did"]
    finally:
        process.stop(folder / "exchange")
