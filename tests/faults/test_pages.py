"""No damaged page of any store is called a bug, sends anything, stops an exit or costs the books."""

import pytest

from tests.faults.pages import EXITS, REBUILDS, RIGHT, Case, campaign
from tests.tiers import in_campaigns

SAMPLE = (
    "ledger.db:1:smeared",
    "ledger.db:5:swapped",
    "facts.db:3:filled",
    "replies.db:2:smeared",
    "state.id:0:zeroed",
)
"""The first is the damage with which every verb called itself a bug once."""
VERBS = frozenset({"positions", "why-no-orders", EXITS, *REBUILDS})


@pytest.mark.sampled
def test_verbs_name_damage_exits_go_on_and_recover_rebuilds_on_damaged_pages() -> None:
    """The campaigns damage every page in every way."""
    found = campaign() if in_campaigns() else campaign(map(Case.named, SAMPLE), VERBS)
    assert {verb: counts for verb, counts in found.items() if counts.keys() - {RIGHT}} == {}
    assert found["recover"][RIGHT] >= 2
