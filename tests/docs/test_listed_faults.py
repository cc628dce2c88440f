"""Every listed fault has one test, in the file of its kind, that says the expected answer."""

from pathlib import Path

from tests.docs.listed_faults import COUNT, SECTIONS, faults, faults_in


def test_each_number_has_exactly_one_test() -> None:
    assert [fault.number for fault in faults()] == list(range(1, COUNT + 1))


def test_each_fault_stands_in_the_file_of_its_kind_with_its_answer_in_one_line() -> None:
    kinds = {number: section.file for section in SECTIONS for number in range(section.first, section.last + 1)}
    assert [fault for fault in faults() if fault.file != kinds[fault.number] or not fault.answer] == []


def test_a_second_test_of_a_number_and_one_without_an_answer_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "test_config.py"
    path.write_text('def test_fault_007_x():\n    """Refuse."""\ndef test_fault_007_y():\n    """a\n\n    b"""\n')
    assert [(fault.number, fault.what, fault.answer) for fault in faults_in(path)] == [
        (7, "x", "Refuse."),
        (7, "y", None),
    ]
