"""Exits go by the rules that were accepted, whatever file and environment say, and also where they cannot be read."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.commands.config.test_config import orders
from tests.kit.bot.ending import refuses
from tests.kit.bot.fixtures import copied
from tests.kit.bot.folder import Bot, Said, log
from tests.kit.bot.state import accept
from tests.kit.ledgers import forget_accepted

TIME = "TRADEBOT_EXITS__TIME_EXIT_S"
STRAY = "TRADEBOT_FOO"


@pytest.fixture
def holder(shared_trader: Bot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a copy of a bot that holds positions, an hour before the session is over for entries."""
    with copied(shared_trader.folder, tmp_path / "state", capsys, trade) as bot:
        yield bot


def trade(bot: Bot) -> None:
    assert bot.json("trade-once")["orders"] > 0
    bot.says("exchange", "tick", "2m")
    assert bot.says("reconcile").code == 0
    assert bot.json("positions")["positions"]


def sold(bot: Bot) -> int:
    """Return how many closing orders the exchange was sent; one that goes through a pair changes the pair's limit."""
    changes = (json.loads(e["body"]) for e in log(bot.url) if e["event"] == "request" and e["method"] == "PATCH")
    through = [change for change in changes if "limit_price" in change]
    return len(through) + sum(".CLOSE." in order["client_order_id"] for order in orders(bot))


def exits(bot: Bot, *arguments: str) -> Said:
    return bot.says("evaluate-exits", "--force-slot", *arguments)


def test_an_exit_rule_that_nobody_accepted_closes_nothing_but_is_named(
    holder: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TIME, "1")
    done = exits(holder)
    assert (done.code, sold(holder)) == (0, 0)
    line = f"exits.time_exit_s was accepted as 14400 and is 1 (environment: {TIME})"
    assert f"Exits follow the accepted rules: {line}. Next: tradebot config accept" in done.out
    assert exits(holder, "--json").data["notes"] == [
        f"Exits follow the accepted rules: {line}. Next: tradebot config accept"
    ]
    for verb in (("status",), ("positions",), ("why-no-orders",), ("doctor", "--offline")):
        assert line in " ".join(holder.says(*verb).out.split()), verb
    stops = {stop["rule"]: stop for stop in holder.json("positions")["positions"][0]["stops"]}
    assert stops["TIME_EXIT"]["left_s"] > 10_000
    assert set(holder.json("trade-once")["refused"]) == {"CONFIG_LOOSENED"}, "nearer is no tighter: any change counts"
    accept(holder.folder)
    assert "accepted rules" not in exits(holder).out
    assert sold(holder) > 0, "accepted, it acts"


def test_a_stop_that_a_file_took_away_still_closes(holder: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIME, "60")
    accept(holder.folder)
    monkeypatch.delenv(TIME)
    assert "exits.time_exit_s was accepted as 60 and is 14400" in exits(holder).out
    assert sold(holder) > 0


def listed(bot: Bot, rules: str) -> None:
    """Give flow a list of exits of its own."""
    own = bot.folder / "tradebot.yaml"
    before = own.read_text()
    own.write_text(before.replace("flow: {", f"flow: {{exits: {rules}, "))
    assert own.read_text() != before


def test_a_strategys_own_list_counts_once_it_is_accepted_and_positions_show_its_levels(holder: Bot) -> None:
    listed(holder, "[{stop_loss: {fraction: 0.015}}, {time_exit: {after_s: 60}}]")
    done = exits(holder)
    assert (done.code, sold(holder)) == (0, 0)
    line = "strategies.flow.exits is new ([{stop_loss: {fraction: 0.015}}, {time_exit: {after_s: 60}}], "
    assert f"Exits follow the accepted rules: {line}" in " ".join(done.out.split())
    accept(holder.folder)
    (value,) = holder.json("config", "show", "strategies.flow.exits")["values"]
    assert value["value"] == [{"stop_loss": {"fraction": "0.015"}}, {"time_exit": {"after_s": 60}}]
    for held in holder.json("positions")["positions"]:
        side = 1 if Decimal(held["quantity"]) > 0 else -1
        stop, time = held["stops"]
        assert (stop["rule"], stop["own"], time["rule"]) == ("STOP_LOSS", False, "TIME_EXIT")
        assert Decimal(stop["price"]) == Decimal(held["average_price"]) * (1 - side * Decimal("0.015"))
    columns = next(line for line in holder.shown("positions").splitlines() if line.startswith("symbol")).split()
    assert {"stop", "time", "trailing", "target"} & {*columns} == {"stop", "time"}
    exits(holder)
    assert sold(holder) > 0


def test_positions_without_a_stop_are_named_and_are_no_finding(holder: Bot) -> None:
    listed(holder, "[]")
    accept(holder.folder)
    symbols = {held["symbol"] for held in holder.json("positions")["positions"]}
    found = holder.json("reconcile")
    assert ({row["symbol"] for row in found["without_stop"]}, found["findings"]) == (symbols, [])
    assert {row["strategy"] for row in found["without_stop"]} == {"flow"}
    assert "no stop protects" in holder.shown("reconcile")
    exits(holder)
    assert sold(holder) == 0


def unreadable(bot: Bot, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Make the configuration unreadable, and return what must be named."""
    own = bot.folder / "tradebot.yaml"
    if how == "stray":
        monkeypatch.setenv(STRAY, "1")
        return "foo (environment: TRADEBOT_FOO): there is no such setting"
    if how == "blank":
        monkeypatch.setenv("TRADEBOT_CONFIG", " ")
        return "TRADEBOT_CONFIG names ' '"
    own.unlink()
    if how == "dangling":
        own.symlink_to(tmp_path / "gone.yaml")
        return "a link that leads nowhere"
    own.write_text({"empty": "", "tab": "limits:\n\tmin_score: 1\n", "value": "limits: {min_score: 7}\n"}[how])
    return {"empty": "the file is empty", "tab": "line 2", "value": "limits.min_score"}[how]


@pytest.mark.parametrize("how", ["empty", "dangling", "tab", "value", "stray", "blank"])
def test_an_unreadable_configuration_keeps_no_exit_from_going_out(
    holder: Bot, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(TIME, "60")
    accept(holder.folder)
    monkeypatch.delenv(TIME)
    named = unreadable(holder, how, monkeypatch, tmp_path)
    assert holder.says("trade-once").code == 2
    done = exits(holder)
    assert done.code == 0, done.err
    assert sold(holder) > 0
    assert named in done.err
    assert "the accepted configuration is used instead, and no entries are sent" in done.err
    assert "next: " in done.err
    assert any(named in note for note in exits(holder, "--json").data["notes"])
    event = holder.says("events", "--last", "20")
    assert event.code == 2, "who only looks is told of the file, as before"


@pytest.mark.parametrize(
    "command", [("flatten", "--all", "--confirm", "ALL"), ("halt", "--flatten", "--confirm", "FLATTEN")]
)
def test_flatten_and_halt_close_by_the_accepted_values_too(
    holder: Bot, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = unreadable(holder, "empty", monkeypatch, tmp_path)
    refuses(holder.says(*command), 0, named)
    assert sold(holder) > 0


def test_serve_goes_on_with_exits_and_opens_nothing(holder: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIME, "60")
    accept(holder.folder)
    monkeypatch.delenv(TIME)
    named = unreadable(holder, "stray", monkeypatch, holder.folder)
    served, ran = holder.process("serve", "--json"), list[dict[str, str]]()
    assert served.stdout is not None
    for line in served.stdout:
        ran.append(json.loads(line)["data"])
        if (ran[-1]["job"], ran[-1]["kind"]) == ("trade-once", "ran"):
            break
    served.terminate()
    _, told = served.communicate(timeout=120)
    assert named in told
    assert "CONFIG_UNREADABLE" in ran[-1]["said"]
    assert sold(holder) > 0


def test_without_an_accepted_one_it_stays_an_error(
    holder: Bot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_accepted(holder.folder)
    named = unreadable(holder, "empty", monkeypatch, tmp_path)
    for verb in (("evaluate-exits", "--force-slot"), ("flatten", "--all", "--confirm", "ALL")):
        refuses(holder.says(*verb), 2, named)
    assert sold(holder) == 0


@pytest.mark.parametrize(("name", "word"), [("TRADEBOT_MODE", "paper"), ("TRADING_MODE", "live")])
def test_a_mode_that_contradicts_the_folder_is_refused_also_where_the_file_cannot_be_read(
    holder: Bot, name: str, word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unreadable(holder, "empty", monkeypatch, tmp_path)
    monkeypatch.setenv(name, word)
    refuses(exits(holder), 2, f"{name} says {word}")


def test_who_asks_for_shadow_stays_in_it_despite_a_stray_variable(holder: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIME, "60")
    accept(holder.folder)
    monkeypatch.setenv(STRAY, "1")
    monkeypatch.setenv("TRADEBOT_SHADOW", "true")
    assert exits(holder).code == 2
    monkeypatch.delenv("TRADEBOT_SHADOW")
    with (holder.folder / "tradebot.yaml").open("a") as file:
        file.write("shadow: true\n")
    assert exits(holder).code == 2
    assert sold(holder) == 0


def test_a_damaged_marker_stops_no_exit_and_every_entry_that_is_typed(holder: Bot) -> None:
    (holder.folder / "state.id").write_text("{")
    refuses(exits(holder), 0, "is damaged", "restore it: cp")
    assert holder.says("trade-once", "--force-slot").code == 2
    refuses(holder.says("flatten", "--all", "--confirm", "ALL"), 0, "is damaged")
    assert sold(holder) > 0
