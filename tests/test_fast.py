"""What `make test-fast` runs and what it leaves out."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fast import (
    LEFT_OUT,
    TESTS,
    name_of,
    pytest_collection_modifyitems,
    pytest_ignore_collect,
    recorded_as_slow,
    slow_ones,
)


def config(*options: str) -> Any:
    """What a run with these options knows."""
    hook = SimpleNamespace(pytest_deselected=lambda items: None)
    return SimpleNamespace(getoption=lambda name: name in options, hook=hook)


def chosen(node_id: str, *options: str, fixtures: tuple[str, ...] = ()) -> bool:
    """Whether a run with these options keeps this test."""
    items: list[Any] = [SimpleNamespace(nodeid=node_id, fixturenames=fixtures)]
    pytest_collection_modifyitems(config(*options), items)
    return bool(items)


def test_a_test_that_nobody_recorded_is_in() -> None:
    assert chosen("tests/jobqueue/test_new.py::test_that_is_new", "fast")


@pytest.mark.parametrize("path", ["tests/jobqueue/test_a.py", "tests/jobqueue/room/test_b.py"])
def test_a_test_that_is_recorded_as_slow_is_out_wherever_its_file_is(path: str) -> None:
    assert not chosen(f"{path}::{next(iter(recorded_as_slow()))}[some case]", "fast")


@pytest.mark.parametrize("fixture", ["worker_process", "rqworker"])
def test_a_test_that_starts_workers_is_out(fixture: str) -> None:
    assert not chosen("tests/jobqueue/test_new.py::test_that_is_new", "fast", fixtures=(fixture,))


def test_any_other_run_leaves_nothing_out() -> None:
    assert chosen(f"tests/jobqueue/test_a.py::{next(iter(recorded_as_slow()))}")


@pytest.mark.parametrize("folder", sorted(LEFT_OUT))
def test_a_folder_whose_tests_start_workers_is_out(folder: str) -> None:
    assert pytest_ignore_collect(TESTS / folder, config("fast")) is True


@pytest.mark.parametrize("path", ["jobqueue", "settlements", "new", "test_new.py", "jobqueue/faults"])
def test_any_other_folder_or_file_is_in(path: str) -> None:
    assert pytest_ignore_collect(TESTS / path, config("fast")) is None


def test_every_folder_that_is_left_out_exists() -> None:
    assert [folder for folder in LEFT_OUT if not (TESTS / folder).is_dir()] == []


def test_every_test_that_is_recorded_as_slow_exists() -> None:
    written = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    names = set(re.findall(r"def (test_\w+)\(", written))

    assert sorted(recorded_as_slow().keys() - names) == []


def test_the_fastest_take_a_sixteenth_of_the_time_and_the_others_are_slow() -> None:
    assert slow_ones({"c": 0.1, "b": 7.54, "a": 1.0, "d": 0.7, "e": 0.36}) == {"b": 7.5, "a": 1.0, "d": 0.7}


def test_a_slower_machine_finds_the_same_tests_slow() -> None:
    seconds = {"c": 0.1, "b": 7.5, "a": 1.0, "d": 0.9, "e": 0.5}

    assert slow_ones({name: 3 * spent for name, spent in seconds.items()}).keys() == slow_ones(seconds).keys()


def test_the_cases_of_a_function_have_its_name() -> None:
    assert name_of("tests/test_a.py::test_it[1::x-[y]]") == "test_it"


def test_a_test_of_a_group_has_the_name_of_its_function() -> None:
    assert name_of("tests/test_a.py::test_it@production") == "test_it"


def test_the_recorded_times_are_in_the_order_of_names() -> None:
    assert list(recorded_as_slow()) == sorted(recorded_as_slow())
