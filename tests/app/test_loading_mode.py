"""A mode is refused wherever it is said: in the environment, in the file of keys, in the configuration."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradebot.adapters.state.state_folder import StateFolder
from tradebot.app.loading import refuse_other_mode
from tradebot.errors import OperatorError

AT = datetime(2026, 11, 16, tzinfo=UTC)


def folder(path: Path, mode: str) -> StateFolder:
    return StateFolder(path, "0" * 16, "user", mode, "PA0000004321", AT)


@pytest.mark.parametrize("name", ["TRADING_MODE", "TRADEBOT_MODE", "MODE"])
def test_mode_in_env_file_must_match_the_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"{name}=live\n")
    (tmp_path / ".env").chmod(0o600)
    with pytest.raises(OperatorError) as refused:
        refuse_other_mode(folder(tmp_path, "paper"), {}, None)
    assert refused.value.message.startswith(f"{name} in .env says live, but ")
    assert refused.value.hint.startswith(f"remove {name} from .env, or make another state: tradebot init --mode live ")
    refuse_other_mode(folder(tmp_path, "live"), {}, None)
    refuse_other_mode(folder(tmp_path, "paper"), {name: "paper"}, None)
    refuse_other_mode(folder(tmp_path, "sandbox"), {}, None)
    (tmp_path / ".env").chmod(0o644)
    refuse_other_mode(folder(tmp_path, "paper"), {}, None)


def test_remedy_does_not_repeat_an_unknown_mode(tmp_path: Path) -> None:
    (tmp_path / "tradebot.yaml").write_text("mode: sandboxx\n")
    for environ, file in (({"TRADING_MODE": "sandboxx"}, None), ({}, tmp_path / "tradebot.yaml")):
        with pytest.raises(OperatorError) as refused:
            refuse_other_mode(folder(tmp_path, "sandbox"), environ, file)
        assert "says sandboxx" in refused.value.message
        assert "sandboxx" not in refused.value.hint
