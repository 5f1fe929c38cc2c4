"""This house is in order: lengths, and circles of imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import (
    GUARDS,
    KEYS,
    LONGEST_CLASS,
    LONGEST_FILE,
    LONGEST_FUNCTION,
    MEDIAN_FUNCTION,
    ROOMS,
    TALKERS,
    House,
    guards,
    key_spellers,
    measures,
    outside_of,
    positional,
    rooms_that_hold,
    talkers,
)
from tests.houses import MakeHouse, a_class, a_function
from tests.source_code import Place, circles, classes, files, functions, longer_than, median_length

pytestmark = pytest.mark.xdist_group("source code")  # they share what takes long to make


@pytest.fixture(scope="module")
def house() -> House:
    """This house."""
    return House.read()


@pytest.fixture
def made_up(tmp_path: Path) -> MakeHouse:
    """A house of these files: `made_up({"jobqueue/a.py": "import b"})`."""

    def make(contents: dict[str, str]) -> House:
        for path, text in contents.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return House.read(tmp_path)

    return make


# This house -----------------------------------------------------------------------------------------


def test_no_file_is_longer_than_400_lines(house: House) -> None:
    assert longer_than(LONGEST_FILE, files(house.sources)) == ()


def test_no_test_file_is_longer_than_400_lines(house: House) -> None:
    assert longer_than(LONGEST_FILE, files(house.tests)) == ()


def test_no_class_is_longer_than_200_lines(house: House) -> None:
    assert longer_than(LONGEST_CLASS, classes(house.sources)) == ()


def test_no_function_is_longer_than_40_lines(house: House) -> None:
    assert longer_than(LONGEST_FUNCTION, functions(house.sources)) == ()


def test_half_of_the_functions_have_at_most_5_lines(house: House) -> None:
    median = median_length(house.sources)

    assert median <= MEDIAN_FUNCTION


def test_no_modules_import_each_other_in_a_circle(house: House) -> None:
    assert circles(house.sources) == []


def test_the_guard_of_a_claim_is_spelled_only_by_the_verbs_and_in_their_texts(house: House) -> None:
    assert outside_of(GUARDS, guards(house.sources)) == []


def test_the_verbs_spell_the_guard_of_a_claim(house: House) -> None:
    assert GUARDS[0] in {place.path for place in guards(house.sources)}


def test_only_broker_supervisor_picture_and_command_import_rq_and_redis(house: House) -> None:
    assert outside_of(TALKERS, talkers(house.sources)) == []


def test_the_keys_of_redis_are_spelled_in_one_file(house: House) -> None:
    assert outside_of(KEYS, key_spellers(house)) == []


def test_no_protocol_counts_positions(house: House) -> None:
    assert positional(house) == []


def test_every_room_of_the_house_holds(house: House) -> None:
    assert rooms_that_hold(house, measures(house)) == ["hall", *ROOMS]


# Lengths --------------------------------------------------------------------------------------------


def test_a_file_of_401_lines_is_found(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/long.py": "x = 1\n" * 401, "jobqueue/fits.py": "x = 1\n" * 400})

    assert longer_than(400, files(house.sources)) == (Place("jobqueue/long.py", "", 401),)


def test_a_file_of_the_domain_is_measured_too(made_up: MakeHouse) -> None:
    house = made_up({"settlements/long.py": "x = 1\n" * 401})

    assert longer_than(400, files(house.sources)) == (Place("settlements/long.py", "", 401),)


def test_migrations_are_left_out(made_up: MakeHouse) -> None:
    assert made_up({"jobqueue/migrations/0001_initial.py": "x = 1\n" * 401}).sources == []


@pytest.mark.parametrize(("lines", "found"), [(200, []), (201, ["Long"])])
def test_a_class_is_as_long_as_from_class_to_its_last_line(
    lines: int, found: list[str], made_up: MakeHouse
) -> None:
    house = made_up({"jobqueue/a.py": "@decorated\n" + a_class(lines) + "\n\nafter = 1\n"})

    assert [place.name for place in longer_than(200, classes(house.sources))] == found


@pytest.mark.parametrize(("lines", "found"), [(40, []), (41, ["long"])])
def test_a_function_is_as_long_as_from_def_to_its_last_line(
    lines: int, found: list[str], made_up: MakeHouse
) -> None:
    house = made_up({"jobqueue/a.py": "@decorated\n" + a_function(lines) + "\n\nafter = 1\n"})

    assert [place.name for place in longer_than(40, functions(house.sources))] == found


def test_methods_coroutines_and_functions_in_functions_are_measured(made_up: MakeHouse) -> None:
    text = "class A:\n    def method(self):\n        async def inner():\n            pass\n"

    found = functions(made_up({"jobqueue/a.py": text}).sources)

    assert [(place.name, place.lines) for place in found] == [("method", 3), ("inner", 2)]


def test_the_median_is_that_of_all_functions(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/a.py": "\n".join(a_function(lines) for lines in (2, 3, 30))})

    assert median_length(house.sources) == 3


def test_the_docstring_does_not_count_for_the_median(made_up: MakeHouse) -> None:
    text = 'def documented():\n    """What it does.\n\n    And more.\n    """\n    return 1\n'

    assert median_length(made_up({"jobqueue/a.py": text}).sources) == 2


# Circles --------------------------------------------------------------------------------------------


def test_a_circle_of_three_is_found_and_who_only_leads_to_it_is_not(made_up: MakeHouse) -> None:
    house = made_up(
        {
            "jobqueue/a.py": "import jobqueue.b",
            "jobqueue/b.py": "from jobqueue.c import thing",
            "jobqueue/c.py": "from jobqueue import a",
            "jobqueue/outside.py": "from jobqueue import a",
        }
    )

    assert circles(house.sources) == [["jobqueue.a", "jobqueue.b", "jobqueue.c"]]


def test_two_circles_that_do_not_touch_are_two(made_up: MakeHouse) -> None:
    pairs = {"a": "b", "b": "a", "c": "d", "d": "c"}

    house = made_up({f"jobqueue/{name}.py": f"import jobqueue.{other}" for name, other in pairs.items()})

    assert circles(house.sources) == [["jobqueue.a", "jobqueue.b"], ["jobqueue.c", "jobqueue.d"]]


def test_imports_one_way_are_no_circle(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/a.py": "import jobqueue.b", "jobqueue/b.py": "import json"})

    assert circles(house.sources) == []


def test_an_import_inside_a_function_closes_a_circle(made_up: MakeHouse) -> None:
    house = made_up(
        {"jobqueue/a.py": "import jobqueue.b", "jobqueue/b.py": "def late():\n    from jobqueue import a"}
    )

    assert circles(house.sources) == [["jobqueue.a", "jobqueue.b"]]


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_an_import_for_types_only_closes_no_circle(test: str, made_up: MakeHouse) -> None:
    house = made_up(
        {"jobqueue/a.py": "import jobqueue.b", "jobqueue/b.py": f"if {test}:\n    from jobqueue import a"}
    )

    assert circles(house.sources) == []


def test_an_import_of_what_is_not_for_types_closes_a_circle(made_up: MakeHouse) -> None:
    late = "if TYPE_CHECKING:\n    x = 1\nelse:\n    from jobqueue import a"

    house = made_up({"jobqueue/a.py": "import jobqueue.b", "jobqueue/b.py": late})

    assert circles(house.sources) == [["jobqueue.a", "jobqueue.b"]]


def test_a_file_that_imports_its_own_package_closes_a_circle(made_up: MakeHouse) -> None:
    house = made_up(
        {
            "jobqueue/models/__init__.py": "from jobqueue.models.job import Job",
            "jobqueue/models/job.py": "from jobqueue.models import Worker",
        }
    )

    assert circles(house.sources) == [["jobqueue.models", "jobqueue.models.job"]]


def test_relative_imports_close_a_circle(made_up: MakeHouse) -> None:
    house = made_up(
        {
            "jobqueue/models/__init__.py": "from .job import Job",
            "jobqueue/models/job.py": "from . import Worker",
        }
    )

    assert circles(house.sources) == [["jobqueue.models", "jobqueue.models.job"]]
