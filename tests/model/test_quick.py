"""Objects of frozen dataclasses that are made quickly are the same objects."""

from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from tests.builders import alert
from tradebot.adapters.text.codec import pack, unpack
from tradebot.model.candidate import Component
from tradebot.model.flow import FlowAlert
from tradebot.model.quick import maker


def test_an_object_made_quickly_is_one_of_its_class() -> None:
    usual = alert(1)
    values: dict[str, Any] = {each.name: getattr(usual, each.name) for each in fields(usual)}
    quick = maker(FlowAlert)(**values)
    assert type(quick) is FlowAlert
    assert quick == usual
    assert hash(quick) == hash(usual)
    assert repr(quick) == repr(usual)
    assert unpack(FlowAlert, pack(quick)) == usual
    assert replace(quick, id="another") == replace(usual, id="another")
    assert (quick.sign, quick.usd, quick.net_usd) == (usual.sign, usual.usd, usual.net_usd)


def test_it_cannot_be_changed_and_takes_the_same_defaults() -> None:
    quick = maker(Component)("flow", None, 1.0, source="")
    assert quick == Component("flow", None, 1.0, "")
    with pytest.raises(FrozenInstanceError):
        quick.weight = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        maker(Component)("flow", None)  # type: ignore[call-arg]
    needed = [getattr(alert(1), each.name) for each in fields(FlowAlert)[:14]]
    assert maker(FlowAlert)(*needed) == FlowAlert(*needed)


@dataclass(frozen=True, slots=True)
class Checked:
    """A class that does something of its own when an object is made."""

    name: str
    parts: list[str] = field(default_factory=list)


def test_a_class_whose_defaults_are_computed_makes_its_own_objects() -> None:
    assert maker(Checked) is Checked
