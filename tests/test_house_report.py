"""The report on the house."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import (
    HALL,
    ROOMS,
    House,
    measures,
    report,
    rooms_that_hold,
)
from tests.houses import MakeHouse, a_class, a_function

pytestmark = pytest.mark.xdist_group("source code")  # they share what takes long to make


@pytest.fixture
def made_up(tmp_path: Path) -> MakeHouse:
    """A house of these files: `made_up({"jobqueue/a.py": "import b"})`."""

    def make(contents: dict[str, str]) -> House:
        for path, text in contents.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return House.read(tmp_path)

    return make


def test_every_measure_stands_beside_its_limit(made_up: MakeHouse) -> None:
    text, _ = report(made_up({"jobqueue/a.py": a_function(3)}))

    assert [line[4:].split("  ")[0] for line in text.splitlines()[:-1]] == [
        "longest file",
        "longest class",
        "longest function",
        "longest test file",
        "median function",
        "circles of imports",
        "files that guard a claim",
        "files that import rq or redis",
        "files that spell a Redis key",
        "files with a positional protocol",
    ]
    assert text.count("limit: ") == 10


def test_a_house_within_its_limits_is_in_order(made_up: MakeHouse) -> None:
    assert report(made_up({"jobqueue/a.py": a_function(3)}))[1] is True


@pytest.mark.parametrize(
    "text",
    ["x = 1\n" * 401, a_class(201), a_function(41), a_function(6), "import rq", "key = 'rq:wip:email'"],
)
def test_a_house_that_breaks_a_limit_is_not_in_order(text: str, made_up: MakeHouse) -> None:
    assert report(made_up({"jobqueue/a.py": text}))[1] is False


def test_what_breaks_a_limit_is_named_below_its_line(made_up: MakeHouse) -> None:
    text, _ = report(made_up({"jobqueue/a.py": "import rq"}))

    assert "\n        jobqueue/a.py: rq\n" in text


def test_the_last_line_counts_the_rooms_in_words(made_up: MakeHouse) -> None:
    text, _ = report(made_up({"jobqueue/api/views.py": "", "jobqueue/admin/verbs.py": ""}))

    assert text.splitlines()[-1] == "Of the fifteen rooms of the house, two hold: admin, api."


def test_a_room_holds_if_all_its_files_are_there(made_up: MakeHouse) -> None:
    house = made_up({f"jobqueue/delivery/{name}.py": "" for name in ROOMS["delivery"].split()})

    assert rooms_that_hold(house, measures(house)) == ["delivery"]


def test_a_room_that_lacks_a_file_does_not_hold(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/delivery/outbox.py": ""})

    assert rooms_that_hold(house, measures(house)) == []


def test_a_room_that_breaks_a_limit_does_not_hold(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/admin/verbs.py": "", "jobqueue/api/views.py": "import rq"})

    assert rooms_that_hold(house, measures(house)) == ["admin"]


@pytest.mark.parametrize(("more", "held"), [([], ["hall"]), (["executor"], [])])
def test_the_hall_holds_if_nothing_else_lies_in_it(
    more: list[str], held: list[str], made_up: MakeHouse
) -> None:
    house = made_up({f"jobqueue/{name}.py": "" for name in [*HALL.split(), *more]})

    assert rooms_that_hold(house, measures(house)) == held
