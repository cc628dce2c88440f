"""The learning loop in a made-up market: the exchange's log says who sent what."""

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

FIRST, START, LAST = (date(2026, *day) for day in ((9, 9), (10, 5), (11, 12)))
"""When the market's bars begin, when the bot does, and the last session."""
HALF, SESSION = 690, 1380
"""The minutes of half a session and of a whole one."""
CONFIGURATION = """venue: ibkr
universe: [MES]
sectors: {{MES: indexes}}
strategies:
  flow: null
  futures: null
  policy: {{mode: training, shadow: true, folder: {models}, public_key: {public}, allotment_fraction: 1, exits: []}}
limits: {{max_contracts: 3, max_order_contracts: 2}}
promotion:
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
    """Yield minutes of a market that rises in the first half of a session and falls in the second."""
    chance, price, day = random.Random(3), 24_000, FIRST  # noqa: S311 - prices in ticks, not secrets
    while day <= LAST:
        opens = datetime(day.year, day.month, day.day, 17, tzinfo=ZoneInfo("America/Chicago")) - timedelta(days=1)
        is_session = day.weekday() < 5 and day not in (date(2026, 11, 26), date(2026, 11, 27))
        for minute in range(SESSION if is_session else 0):
            side = 1 if minute < HALF else -1
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

    def plays(self, verb: str, sessions: int) -> None:
        """Play sessions with a pass in each half."""
        for _ in range(sessions):
            for hours in ("1h", "11h"):
                self.does(f"exchange tick {hours}", "reconcile", verb)
            self.does("exchange tick next_open")


@pytest.mark.campaign
def test_policy_of_a_walk_sends_nothing_in_shadow_and_trades_once_a_person_lets_it(
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
        assert bot.says("promote", "policy", "--to", "shadow").code == ExitCode.REFUSED, "it has shown nothing yet"
        bot.plays("shadow", 23)
        assert bot.says(*walk).out.startswith("Nothing is trained"), "its model is ready for paper"
        assert bot.orders_at_the_exchange() == 0
        bot.does("promote policy --to shadow", "promote policy --to paper")
        assert bot.rung() == "paper"
        bot.does("config set strategies.policy.shadow false", "exchange tick 1h", "reconcile")
        refused = bot.says("trade-once", "--force-slot")
        assert (refused.code, "CONFIG_LOOSENED" in refused.out) == (ExitCode.REFUSED, True)
        assert bot.orders_at_the_exchange() == 0
        bot.does(f"config accept --confirm {bot.tail()}", "trade-once --force-slot")
        assert bot.orders_at_the_exchange() == 1
        kept = bot.says(*walk)
        assert (kept.code, "isn't in shadow" in kept.err) == (ExitCode.USAGE, True), "it trades with its models"
    finally:
        process.stop(folder / "exchange")
