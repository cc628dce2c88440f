"""The kit's README names what there is, and its first test runs."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KIT = ROOT / "tests" / "kit"
README = (KIT / "README.md").read_text(encoding="utf-8")


def test_every_module_of_the_kit_is_named_in_its_readme_and_nothing_else_is() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", README))
    of_exchange = {path.relative_to(ROOT).as_posix() for path in (ROOT / "exchange/tests/kit").rglob("*.py")}
    assert named == {path.relative_to(KIT).as_posix() for path in KIT.rglob("*.py")} | of_exchange


def test_first_test_of_the_readme_passes() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)  # noqa: S102 -- it is a document of ours
    tests = [test for name, test in names.items() if name.startswith("test_") and callable(test)]
    assert len(tests) == 1
    tests[0]()
