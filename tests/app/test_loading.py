"""The accepted configuration takes the place of one that can't be read, and opens nothing that only a file may."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.baseline import accepted_exits, accepted_own_exits, effective
from tradebot.app.keys import load_addresses
from tradebot.app.loading import Options, accepted_instead, load_for, refuse_other_mode
from tradebot.app.settings import load
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.exits.rules import parse, to_rule_list
from tradebot.model.trading import Baseline


def marked(path: Path, mode: str) -> StateFolder:
    return StateFolder(path, "0" * 16, "user", mode, "PA0000004321", AT)


@pytest.mark.parametrize("name", ["TRADING_MODE", "TRADEBOT_MODE", "MODE"])
def test_mode_in_env_file_must_match_the_folder(name: str, here: Path) -> None:
    (here / ".env").write_text(f"{name}=live\n")
    (here / ".env").chmod(0o600)
    with pytest.raises(OperatorError) as refused:
        refuse_other_mode(marked(here, "paper"), {}, None)
    assert refused.value.message.startswith(f"{name} in .env says live, but ")
    assert refused.value.hint.startswith(
        f"remove {name} from .env, or create another state: tradebot init --mode live "
    )
    refuse_other_mode(marked(here, "live"), {}, None)
    refuse_other_mode(marked(here, "paper"), {name: "paper"}, None)
    refuse_other_mode(marked(here, "sandbox"), {}, None)
    (here / ".env").chmod(0o644)
    refuse_other_mode(marked(here, "paper"), {}, None)


def test_options_of_a_demo_count_above_file_and_environment_in_a_demos_folder_only(tmp_path: Path) -> None:
    (tmp_path / "tradebot.yaml").write_text("limits: {cooldown_s: 70, max_symbol_entries: 3}\n")
    (tmp_path / "demo.yaml").write_text("limits: {cooldown_s: 90}\n")
    environ = {"TRADEBOT_LIMITS__COOLDOWN_S": "80"}
    for kind, cooldown_s in (("demo", 90), ("user", 80)):
        loaded = load_for(marked(tmp_path, "sandbox")._replace(kind=kind), Options(), environ)
        assert (loaded.settings.limits.cooldown_s, loaded.settings.limits.max_symbol_entries) == (cooldown_s, 3)
    tried = load_for(marked(tmp_path, "sandbox"), Options(), {}, values={"limits": {"cooldown_s": 75}})
    assert (tried.settings.limits.cooldown_s, tried.settings.limits.max_symbol_entries) == (75, 10)


AT = datetime(2026, 11, 16, tzinfo=UTC)
NUMBER = "912345678"
ERROR = ConfigurationError("the file is empty", "write KEY: VALUE lines")


def folder(path: Path, mode: str, accepted: str | None = None) -> StateFolder:
    """Return a folder whose books hold an accepted configuration."""
    settings = load(None, {}, {"mode": accepted or mode}).settings
    with closing(SqliteLedger.create(path, NUMBER, AT)) as ledger:
        ledger.baselines.approve(Baseline(effective(settings), "ann/1", AT))
    return StateFolder(path, "0" * 16, "user", mode, NUMBER, AT)


@pytest.mark.parametrize("mode", ["sandbox", "paper", "live"])
def test_accepted_settings_load_with_every_value_unchanged(mode: str, tmp_path: Path) -> None:
    loaded = accepted_instead(folder(tmp_path, mode), [tmp_path / "tradebot.yaml"], {}, ERROR)
    assert loaded.settings == load(None, {}, {"mode": mode}).settings
    assert (loaded.unread, loaded.file_mode) == (ERROR, "")


def test_live_mode_counts_only_if_a_readable_file_names_it(tmp_path: Path) -> None:
    own, live = tmp_path / "tradebot.yaml", folder(tmp_path, "live")
    own.write_text("mode: live\n")
    assert accepted_instead(live, [own], {}, ERROR).file_mode == "live"
    other = tmp_path / "empty.yaml"
    other.touch()
    assert accepted_instead(live, [other, own], {}, ERROR).file_mode == "", "the file in use is the first one"


def test_accepted_settings_of_another_mode_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the file is empty"):
        accepted_instead(folder(tmp_path, "paper", accepted="sandbox"), [tmp_path / "none"], {}, ERROR)


def test_error_also_names_accepted_values_that_this_version_refuses(tmp_path: Path) -> None:
    state, values = folder(tmp_path, "paper"), effective(load(None, {}, {"mode": "paper"}).settings)
    values["limits"]["min_score"] = 7
    with closing(SqliteLedger.open(tmp_path)) as ledger:
        ledger.baselines.approve(Baseline(values, "ann/1", AT))
    with pytest.raises(ConfigurationError, match=r"(?s)the file is empty.*limits\.min_score"):
        accepted_instead(state, [tmp_path / "none"], {}, ERROR)


def test_exit_rule_is_the_accepted_one_unless_this_version_refuses_it() -> None:
    exits = load(None, {}).settings.exits
    values = {"time_exit_s": 60, "stop_loss_fraction": "7", "unheard_of": 1}
    found = accepted_exits(exits, Baseline({"exits": values}, "ann/1", AT))
    assert found == exits.model_copy(update={"time_exit_s": 60})
    assert accepted_exits(exits, Baseline({}, "ann/1", AT)) == exits


def test_exits_of_a_strategy_are_the_accepted_ones_unless_this_version_refuses_them() -> None:
    now, was = parse([{"time_exit": {"after_s": 60}}]), parse([{"stop_loss": {"fraction": "0.05"}}])
    configured = {"same": now, "new": now, "never": now, "added": now, "unread": now}
    sections = {
        "same": {"exits": to_rule_list(now)},
        "never": {"exits": to_rule_list(was)},
        "added": {"weights": {}},
        "unread": {"exits": [{"moon": {}}]},
        "removed": {"exits": []},
        "off": None,
    }
    baseline = Baseline({"strategies": sections}, "ann/1", AT)
    assert accepted_own_exits(configured, baseline) == {
        "same": now, "new": now, "never": was, "unread": now, "removed": (),
    }  # fmt: skip
    assert accepted_own_exits(configured, Baseline({}, "ann/1", AT)) == configured


def test_names_of_an_earlier_system_name_settings_at_its_venue_only(tmp_path: Path) -> None:
    environ = {"MAX_MEMORY_MB": "6000", "DECISION_LATENCY_MS": "90", "S3_BUCKET": "mine"}
    there = marked(tmp_path, "paper")._replace(venue="ibkr")
    own = {"TRADEBOT_VENUE": "ibkr"}
    settings = load_for(there, Options(), environ | own).settings
    found = settings.serve.max_memory_mb, settings.limits.max_decision_ms, settings.storage.backup_to
    assert found == (6000, 90, "s3://mine")
    both = environ | own | {"TRADEBOT_LIMITS__MAX_DECISION_MS": "80"}
    assert load_for(there, Options(), both).settings.limits.max_decision_ms == 80
    elsewhere = load_for(marked(tmp_path, "paper"), Options(), environ).settings
    assert (elsewhere.serve.max_memory_mb, elsewhere.storage.backup_to) == (1000, None)


NAMES = ("phone", "desk", "none")


def test_secret_pieces_of_an_address_are_hidden_and_hosts_are_not() -> None:
    address = "https://ann:passw0rd-of-ann@hooks.example.com:8443/services/B0123456789?token=abcd1234efgh"
    found = load_addresses({"NOTIFY_PHONE": address, "NOTIFY_DESK": "tgram://123456789:AAexampleToken/42"}, None, NAMES)
    assert found == {"phone": address, "desk": "tgram://123456789:AAexampleToken/42"}
    assert hide_keys(f"{address} B0123456789 abcd1234efgh passw0rd-of-ann AAexampleToken") == " ".join(["[hidden]"] * 5)
    assert hide_keys("http://127.0.0.1:1 hooks.example.com") == "http://127.0.0.1:1 hooks.example.com"
