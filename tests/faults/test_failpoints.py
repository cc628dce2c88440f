"""Failpoints: none is missing, none has two places, and none does anything where no test has armed it."""

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.failpoints import ADAPTERS, AT_IBKR, effects, effects_of, every_point, modules, names
from tests.kit.fakes.failpoints import hooked
from tradebot.adapters import failpoint
from tradebot.adapters.failpoint import around


@pytest.fixture
def reached() -> Iterator[list[str]]:
    """Yield what an armed hook is told."""
    told: list[str] = []
    with hooked(told.append):
        yield told


def test_every_commit_sync_rename_removal_and_request_of_the_adapters_stands_between_its_points() -> None:
    assert [(effect.where, effect.call) for effect in effects() if effect.point is None] == []
    assert len(list(effects())) > 25


def test_each_point_is_named_after_its_module_and_stands_in_one_place() -> None:
    assert [name for name, count in Counter(names()).items() if count > 1] == []
    rooms = [(path.parent.name, path.stem) for path in modules()]
    known = {name for room, module in rooms for name in (room, module, f"{room}_{module}")}
    assert [name for name in names() if name.partition(".")[0] not in known or name.count(".") != 1] == []
    assert len(every_point()) >= 60


def test_the_campaign_of_brackets_knows_each_point_around_what_is_sent_to_interactive_brokers() -> None:
    assert {f"{name}.{side}" for name in AT_IBKR for side in ("before", "after")} == {
        point for point in every_point() if point.startswith("ibkr.")
    }


@pytest.mark.parametrize(
    "source",
    [
        "os.fsync(file)",
        "draft.replace(path)",
        "path.unlink(missing_ok=True)",
        "database.execute('COMMIT')",
        "client.ask(method, path, body)",
        "adapter.send(request)",
        "with around('a.b'):\n    first()\n    os.fsync(file)",
        "with around('a.b'):\n    later = lambda: os.fsync(file)",
    ],
)
def test_the_list_sees_an_effect_without_points(source: str) -> None:
    assert [effect.point for effect in effects_of(ast.parse(source), "x.py")] == [None]


@pytest.mark.parametrize(
    "source",
    ["text.replace('a', 'b')", "replace(order, status=new)", "client.ask('GET', path)", "database.execute('SELECT 1')"],
)
def test_the_list_takes_nothing_else_for_an_effect(source: str) -> None:
    assert list(effects_of(ast.parse(source), "x.py")) == []


def test_an_armed_point_tells_its_hook_before_and_after(reached: list[str]) -> None:
    with around("one.step"):
        reached.append("the step")
    assert reached == ["one.step.before", "the step", "one.step.after"]


def test_a_step_that_fails_has_no_point_after_it(reached: list[str]) -> None:
    with pytest.raises(OSError, match="full"), around("one.step"):
        raise OSError("full")
    assert reached == ["one.step.before"]


def test_nothing_is_armed_and_one_object_stands_at_every_point() -> None:
    assert failpoint.hook is None
    assert around("one.step") is around("another.step")


def test_no_file_flag_or_variable_arms_a_point() -> None:
    tree = ast.parse((ADAPTERS / "failpoint.py").read_text())
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imports == ["collections.abc"]
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
    for path in ADAPTERS.rglob("*.py"):
        assert path.stem == "failpoint" or "failpoint.hook" not in path.read_text(), path
