"""The hash of a strategy's code and values, where it stands, and since when it has been what it is."""

from datetime import timedelta
from pathlib import Path

import pytest

import tradebot
from tests.kit.values import NOW
from tradebot.adapters.plugins.code_digest import BUILT_IN, StrategyCode
from tradebot.adapters.plugins.code_tree import tree_digest
from tradebot.app.promotion_status import SUBMITTED, digest_of, in_force, last_promotion
from tradebot.app.settings import load
from tradebot.model.promotion import Promotion, Rung
from tradebot.model.struct_tools import replace

SHADOW = Promotion("flow", Rung.SHADOW, "abc", "ann/1", NOW)
PAPER = replace(SHADOW, rung=Rung.PAPER, at=NOW + timedelta(days=1))


def digest(flow: dict[str, object] | None = None, **settings: object) -> str | None:
    return digest_of(load(None, {}, {"strategies": {"flow": flow or {}}, **settings}).settings, "flow")


def test_hash_is_of_a_strategys_own_values_and_not_of_how_much_it_trades_with() -> None:
    assert digest() == digest({"allotment_fraction": 0.5}) == digest(limits={"max_open_positions": 5})
    assert digest() != digest({"min_cluster": 1})
    assert digest() != digest({"limits": {"max_open_positions": 4}})
    assert digest_of(load(None, {}).settings, "own") == SUBMITTED


def test_promotion_outlives_docstrings_and_renames_no_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(tradebot.__file__).parent / "strategies" / "rotation.py").read_text(encoding="utf-8")
    assert " >= least" in text

    def with_code(name: str, content: str) -> str:
        path = tmp_path / "tradebot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        code = StrategyCode({BUILT_IN: tree_digest(tmp_path / "tradebot", [path])})
        monkeypatch.setattr("tradebot.adapters.plugins.plugin.built_in_code", lambda: code)
        found = digest()
        assert found is not None
        return found

    promoted = replace(PAPER, digest=with_code("strategies/rotation.py", text))
    reworded = text.replace('"""The rotation', '"""Rotate: the rotation', 1)
    assert reworded != text
    assert last_promotion((promoted,), "flow", with_code("strategies/turning.py", reworded)) == promoted
    assert (
        last_promotion((promoted,), "flow", with_code("strategies/rotation.py", text.replace(" >= least", " > least")))
        is None
    )


def test_last_promotion_counts_if_it_is_of_the_same_hash() -> None:
    rows = (SHADOW, replace(PAPER, strategy="mine"), PAPER)
    assert last_promotion(rows, "flow", "abc") == PAPER
    assert last_promotion(rows, "flow", "other") is None
    assert last_promotion(rows[:1], "flow", "abc") == SHADOW
    assert last_promotion(rows, "rotation", "abc") is None
    # What was promoted before it was changed isn't again when it is changed back: a person has to say so.
    assert last_promotion((PAPER, replace(SHADOW, digest="other")), "flow", "abc") is None


def test_higher_promotion_of_two_folders_counts_unless_it_was_put_down_since() -> None:
    down = replace(SHADOW, why="it lost", at=PAPER.at + timedelta(days=1))
    assert in_force(None, None) is None
    assert in_force(SHADOW, PAPER) == in_force(PAPER, SHADOW) == in_force(None, PAPER) == PAPER
    assert in_force(down, PAPER) == down
    assert in_force(down, again := replace(PAPER, at=down.at + timedelta(days=1))) == again
