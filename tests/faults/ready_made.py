"""Days under the ready-made scripts of a venue's own failures, from beginning to end, judged as schedules are.

    VENUE=kraken_futures python -m tests.faults.ready_made kraken-false-ends

It plays each script whose name begins with a word, first with empty books and then with positions, and prints one JSON
line: how often each script was met, and every broken promise. It ends with 1 if there was one.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from papervenue.faults import fault_table
from papervenue.faults.yamltext import read_yaml
from tests.faults.controls import CONTROLS
from tests.faults.schedules import Act, Schedule, Script, Tally, standing
from tests.faults.troubles import Trouble
from tests.kit.venues import AT

MINUTE, HOUR = {"seconds": 61}, {"seconds": 3600}
DAYS = {
    "flat": (("entries", MINUTE), ("exits", MINUTE), ("exits", HOUR)),
    "long": (("exits", MINUTE), ("compare", MINUTE), ("exits", HOUR)),
    "resting": (("exits", MINUTE), ("entries", HOUR)),
}
"""With which books a day begins, the verbs that run while its script is armed, and how much time passes after each."""


def plan_of(begins: str, rules: Sequence[Mapping[str, Any]]) -> Script:
    """Return a day whose first verb arms the script, and in which nothing clears it before the end."""
    wanted = {AT.symbols[0]: "buy", AT.symbols[1]: "sell"}
    trouble = Trouble("ready-made", rules=rules)
    first, *others = DAYS[begins]
    acts = [Act(first[0], wanted, (trouble,), False, False, first[1])]
    acts += [Act(verb, wanted, (), False, False, wait) for verb, wait in others]
    return Script(begins, narrow=False, acts=tuple(acts))


def main() -> int:
    """Play what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[], help="the scripts' names, or how they begin")
    parser.add_argument("--tell", action="store_true", help="say what happens")
    parser.add_argument("--control", choices=CONTROLS, help="break the bot in this way first")
    asked = parser.parse_args()
    begin = tuple(asked.names) or (AT.name.partition("_")[0],)
    met, problems = dict[str, Counter[str]](), list[str]()
    with standing() as ground:
        if asked.control:
            CONTROLS[asked.control]()
        for name in (name for name in fault_table.names() if name.startswith(begin)):
            rules, _ = read_yaml(fault_table.text_of(name) or "")
            for begins in DAYS:
                # A seed that asks nobody and doesn't flatten what is held.
                day = Schedule(ground, 1, Tally(), asked.tell, plan_of(begins, rules))
                problems += [f"{name}, {begins}: {problem}" for problem in dict.fromkeys(day.play())]
                met.setdefault(name, Counter())[begins] += day.tally.events["fault_fired"]
    print(json.dumps({"met": met, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
