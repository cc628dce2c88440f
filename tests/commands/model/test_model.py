"""`tradebot model`: keys are made once, drafts are tried and signed, and every view says how a bot's models are."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, Said, typed
from tests.kit.bot.state import accept
from tests.kit.fakes.networks import Signed, constant
from tradebot.adapters.models.model_folder import ModelParts
from tradebot.errors import ExitCode
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.struct_tools import replace

PARTS = constant([0.75], ("rsi_14", "body"))
Type = Callable[..., Said]


@pytest.fixture
def type_(capsys: pytest.CaptureFixture[str]) -> Type:
    return lambda *words: typed(capsys, *map(str, words))


def drafted(place: Path, parts: ModelParts = PARTS) -> Path:
    place.mkdir()
    for name, content in parts.files().items():
        (place / name).write_bytes(content)
    return place


def test_draft_is_signed_with_a_new_key_and_appears_under_its_id(type_: Type, tmp_path: Path) -> None:
    key, models = tmp_path / "key", tmp_path / "models"
    public = type_("model", "key", key, "--json").data["public"]
    signed = type_("model", "sign", drafted(tmp_path / "draft"), "--key", key, "--to", models, "--json").data
    assert signed["public"] == public
    assert [path.name for path in models.iterdir()] == [signed["id"]]
    assert 0 < signed["usual_ms"] <= signed["longest_ms"]
    refuses(type_("model", "key", key), ExitCode.USAGE, "never overwritten")


def test_draft_that_fails_its_test_is_not_signed(type_: Type, tmp_path: Path) -> None:
    key, models = tmp_path / "key", tmp_path / "models"
    type_("model", "key", key)
    stored = replace(PARTS.probe, answers=((0.7,), *PARTS.probe.answers[1:]))
    draft = drafted(tmp_path / "draft", PARTS._replace(probe=stored))
    said = type_("model", "sign", draft, "--key", key, "--to", models)
    assert said.code == ExitCode.USAGE
    assert f"the draft {draft} can't be signed" in said.err
    assert ("answers to its stored observations differ" in said.err, "model check" in said.err) == (True, False)
    assert not models.exists()


def test_first_commands_of_the_docs_work_as_typed(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    first = next(line for line in Path("docs/LEARN_POLICIES.md").read_text().splitlines() if " model key " in line)
    assert type_(*(os.path.expanduser(word) for word in first.split()[1:])).code == ExitCode.DONE
    assert (tmp_path / "keys" / "models.pem").stat().st_mode & 0o077 == 0


def spoil(model: Path) -> None:
    file = model / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])


def act_by(bot: Bot, signed: Signed, name: str, **changes: Any) -> None:
    """Let a bot act by a model."""
    section = {**signed.settings(name), "allotment_fraction": 1, "universe": ["AAPL"], **changes}
    settings = {"universe": ["AAPL", "MSFT", "NVDA", "AMZN"], "strategies": {"flow": None, "policy": section}}
    (bot.folder / "tradebot.yaml").write_text(json.dumps(settings))
    accept(bot.folder)


def entries(bot: Bot) -> Any:
    bot.does("exchange tick 5m", "reconcile")
    return bot.json("trade-once", "--force-slot")


def own(row: Any) -> dict[str, Any]:
    """Return the strategy's own decisions of a row, by what they are about."""
    return {one["about"]: one for one in row["decisions"] if one["about"]}


def part(bot: Bot, name: str = "models") -> Any:
    return next(row for row in bot.json("health")["judgments"] if row["subject"] == name)


INSTEAD = "trategy policy acts by its rule (MODEL_CHANGED)"


def test_bot_trades_by_its_model_then_by_its_rule_then_not_and_every_view_says_why(bot: Bot, tmp_path: Path) -> None:
    assert bot.json("model", "check") == {"models": []}
    assert "No learned policy is in use" in bot.says("model", "check").out
    assert [row for row in bot.json("health")["judgments"] if row["subject"] == "models"] == []

    signed = Signed(tmp_path)
    name = signed.write(PARTS)
    act_by(bot, signed, name, mode="training")
    refuses(bot.says("serve", "--speed", "1000000"), ExitCode.USAGE, "serve doesn't train models")
    bot.does("exchange tick next_open", "exchange tick 40m")
    assert [one["decision"]["reason"] for one in entries(bot)["refused_strategies"]] == ["MODEL_TRAINING"]

    act_by(bot, signed, name)
    (acted,) = entries(bot)["rows"]
    assert (own(acted)["model"]["observed"], own(acted)["answer"]["observed"], acted["quantity"]) == (name, 1.5, "2")
    (checked,) = bot.json("model", "check")["models"]
    assert (checked["reason"], checked["usual_ms"] > 0) == (None, True)
    assert part(bot)["state"] == "OK"
    assert json.loads((bot.folder / "models.json").read_text()) == {"policy": [name]}

    spoil(signed.folder / name)
    (acted,) = entries(bot)["rows"]
    assert (own(acted)["model"]["reason"], own(acted)["model"]["verdict"]) == ("MODEL_CHANGED", "PASS")
    assert "trend" in own(acted)
    assert INSTEAD[9:] in part(bot)["found"]
    assert INSTEAD in bot.json("why-no-orders")["explanation"]["sentence"]
    (told,) = [one for one in bot.json("status")["passes"] if one["job"] == "trade-once"]
    assert INSTEAD in told["did"]
    assert "model check" not in bot.says("model", "check").out
    checked = bot.says("model", "check", "--json")
    assert (checked.code, checked.data["models"][0]["reason"]) == (ExitCode.FINDINGS, "MODEL_CHANGED")

    act_by(bot, signed, name, rule=None)
    entered = entries(bot)
    assert (entered["rows"], len(entered["refused_strategies"])) == ([], 1)
    assert bot.json("why-no-orders")["explanation"]["remedy"].startswith(REASONS[Reason.MODEL_CHANGED].remedy[:20])
    assert part(bot, "strategies")["found"] == "policy is BROKEN (MODEL_CHANGED)"
    assert "MODEL_CHANGED" in part(bot)["found"]
