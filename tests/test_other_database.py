"""What a run on a second database leaves out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.other_database import FIXTURES, SAMPLED, before, pytest_collection_modifyitems, sample


def chosen(
    *options: str,
    file: str = "tests/test_it.py",
    fixtures: tuple[str, ...] = (),
    markers: tuple[str, ...] = (),
) -> bool:
    """Whether a run with these options keeps such a test."""
    hook = SimpleNamespace(pytest_deselected=lambda items: None)
    config: Any = SimpleNamespace(getoption=lambda name: name in options, hook=hook)
    marked = {name: getattr(pytest.mark, name).mark for name in markers}
    item = SimpleNamespace(nodeid=f"{file}::test_it", fixturenames=fixtures, get_closest_marker=marked.get)
    items: list[Any] = [item]
    pytest_collection_modifyitems(config, items)
    return bool(items)


@pytest.mark.parametrize("fixture", sorted(FIXTURES))
def test_a_test_that_asks_for_the_database_is_in(fixture: str) -> None:
    assert chosen("other_database", fixtures=(fixture, "tmp_path"))


def test_a_test_that_is_marked_to_use_the_database_is_in() -> None:
    assert chosen("other_database", markers=("django_db",))


def test_a_test_without_a_database_is_out() -> None:
    assert not chosen("other_database", fixtures=("tmp_path",))


def test_a_test_of_postgresql_is_in_whatever_it_asks_for() -> None:
    assert chosen("other_database", file="tests/faults/test_postgresql_clock.py")


def test_a_test_in_which_something_else_fails_is_out() -> None:
    assert not chosen("other_database", markers=("django_db", "one_database"))


def cases_in(folder: str, number: int, *markers: str) -> list[str]:
    """Which of so many cases of one test are kept."""
    marked = {name: getattr(pytest.mark, name).mark for name in markers}
    items: list[Any] = [
        SimpleNamespace(nodeid=f"{folder}test_it.py::test_it[{case:03}]", get_closest_marker=marked.get)
        for case in range(number)
    ]
    return [item.nodeid for item in sample(items)]


@pytest.mark.parametrize("number", [1, 2, 100])
def test_one_of_many_cases_of_the_domain_is_in(number: int) -> None:
    assert len(cases_in(SAMPLED[0], number)) == 1


def test_all_cases_that_meet_different_statements_are_in() -> None:
    assert len(cases_in(SAMPLED[0], 100, "every_case")) == 100


def test_all_cases_of_a_fault_are_in() -> None:
    assert len(cases_in("tests/faults/", 100)) == 100


def kept_before(file: str, number: int, on_the_other: int) -> int:
    """How many of so many tests of a file are run before those on the other database."""
    items: list[Any] = [SimpleNamespace(nodeid=f"{file}::test_{each:03}") for each in range(number)]
    return len(list(before(items, {item.nodeid for item in items[:on_the_other]})))


def test_of_tests_with_workers_that_the_other_run_has_one_of_each_file_is_in_the_run_before() -> None:
    assert kept_before("tests/faults/test_stop.py", 10, on_the_other=10) == 1


def test_tests_with_workers_that_the_other_run_has_not_are_in_the_run_before() -> None:
    assert kept_before("tests/faults/test_stop.py", 10, on_the_other=4) == 7


def test_tests_without_workers_are_in_both_runs() -> None:
    assert kept_before("tests/settlements/test_rules.py", 10, on_the_other=10) == 10


def test_any_other_run_leaves_nothing_out() -> None:
    assert chosen(fixtures=("tmp_path",))


@pytest.mark.usefixtures("rqworker", "worker_process")
def test_whoever_asks_for_real_workers_is_in(request: pytest.FixtureRequest) -> None:
    assert not FIXTURES.isdisjoint(request.fixturenames)
