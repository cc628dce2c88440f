"""Every listed fault has one test, in the file of its kind, that says the expected answer."""

from tests.docs.listed_faults import COUNT, SECTIONS, faults


def test_each_number_has_exactly_one_test() -> None:
    assert [fault.number for fault in faults()] == list(range(1, COUNT + 1))


def test_each_fault_stands_in_the_file_of_its_kind_with_its_answer_in_one_line() -> None:
    kinds = {number: section.file for section in SECTIONS for number in range(section.first, section.last + 1)}
    assert [fault for fault in faults() if fault.file != kinds[fault.number] or not fault.answer] == []
