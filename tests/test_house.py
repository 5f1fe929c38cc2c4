"""The house is in order, and what `make house` says of it is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import (
    GUARDS,
    HALL,
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
    report,
    rooms_that_hold,
    talkers,
)
from tests.source_code import Place, circles, classes, files, functions, longer_than, median_length

pytestmark = pytest.mark.xdist_group("source code")  # they share what takes long to make

MakeHouse = Callable[[dict[str, str]], House]


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


def a_function(lines: int, name: str = "long") -> str:
    """A function of so many lines."""
    return f"def {name}() -> None:\n" + "    call()\n" * (lines - 1)


def a_class(lines: int) -> str:
    """A class of so many lines."""
    return "class Long:\n" + "    value = 1\n" * (lines - 1)


# This house -----------------------------------------------------------------------------------------


def test_no_file_is_longer_than_400_lines(house: House) -> None:
    assert longer_than(LONGEST_FILE, files(house.sources)) == ()


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


# The guard of a claim -------------------------------------------------------------------------------

SPELLED = {
    "one filter": "jobs.filter(pk=pk, attempt=attempt, worker=worker, state=State.ACTIVE)",
    "chained filters": "jobs.active().filter(worker_id=worker).filter(attempt=attempt)",
    "a Q": "jobs.filter(Q(worker_id=worker), state='active', attempt=attempt)",
    "a dictionary": "dict = {'attempt': 1, 'worker_id': worker, 'state': Job.State.ACTIVE}",
    "SQL": "'UPDATE t SET x = 1 WHERE attempt = %s AND state = \\'active\\' AND worker_id = %s'",
    "SQL in pieces": "'WHERE (id, attempt) IN (SELECT 1)' + f\" AND state = '{A.ACTIVE}' AND worker = %s\"",
    "a part of SQL": "\"attempt = %s AND state || '' = 'active' AND worker_id = %s\"",
    "parameters of SQL": "'DELETE FROM t WHERE attempt = %s AND job.state = %s AND job.worker_id = %s'",
}
NOT_SPELLED = {
    "a claim": "\"UPDATE t SET state = 'active', worker_id = %s WHERE attempt = %s AND state = 'waiting'\"",
    "what is written": "row.update(state=State.ACTIVE, attempt=1, worker=worker)",
    "no attempt": "jobs.active().filter(worker_id=worker)",
    "another state": "jobs.filter(attempt=attempt, worker=worker, state=State.WAITING)",
    "a call of the guard": "claimed(job, worker).update(state=State.WAITING, attempt=2)",
    "a sentence": "'job %s is active in attempt %s of worker %s'",
}


@pytest.mark.parametrize("code", SPELLED.values(), ids=SPELLED)
@pytest.mark.parametrize("form", ["def verb():\n    return {}", "GUARD = ({})"])
def test_the_guard_of_a_claim_is_found(form: str, code: str, made_up: MakeHouse) -> None:
    code = code.removeprefix("dict = ")

    assert [place.path for place in guards(made_up({"jobqueue/a.py": form.format(code)}).sources)] == [
        "jobqueue/a.py"
    ]


@pytest.mark.parametrize("code", NOT_SPELLED.values(), ids=NOT_SPELLED)
def test_what_is_no_guard_of_a_claim_is_not_found(code: str, made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/a.py": f'def verb():\n    """{SPELLED["SQL"][1:-1]}"""\n    return {code}'})

    assert guards(house.sources) == []


def test_a_guard_outside_of_the_verbs_breaks_the_limit(made_up: MakeHouse) -> None:
    guard = f"def verb():\n    return {SPELLED['one filter']}"

    house = made_up({GUARDS[0]: guard, "jobqueue/delivery/rescue.py": guard})

    assert outside_of(GUARDS, guards(house.sources)) == [Place("jobqueue/delivery/rescue.py", "verb")]


# Redis ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["import rq", "from redis.retry import Retry", "def f():\n    import redis"])
def test_who_imports_rq_or_redis_is_found(code: str, made_up: MakeHouse) -> None:
    assert [place.path for place in talkers(made_up({"jobqueue/jobs.py": code}).sources)] == [
        "jobqueue/jobs.py"
    ]


def test_our_own_modules_of_such_a_name_are_not_rq(made_up: MakeHouse) -> None:
    assert talkers(made_up({"jobqueue/jobs.py": "from jobqueue.worker import rq_picture"}).sources) == []


def test_every_file_of_the_broker_may_import_redis(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/broker/bell.py": "import redis", "jobqueue/brokers.py": "import redis"})

    assert outside_of(TALKERS, talkers(house.sources)) == [Place("jobqueue/brokers.py", "redis")]


@pytest.mark.parametrize(
    "code",
    [
        "key = 'rq:wip:email'",
        "key = f'{PREFIX}:jobqueue:lead'",
        "from rq.defaults import RQ_KEY_PREFIX",
        "def key(prefix):\n    return f'{prefix}:{queue}'",
    ],
)
def test_a_spelled_key_is_found(code: str, made_up: MakeHouse) -> None:
    assert key_spellers(made_up({"jobqueue/a.py": code})) == [Place("jobqueue/a.py")]


@pytest.mark.parametrize("code", ["url = 'admin:jobqueue_job'", "lock = f'jobqueue:{queue}'", '"""rq:wip"""'])
def test_what_is_no_key_is_not_found(code: str, made_up: MakeHouse) -> None:
    assert key_spellers(made_up({"jobqueue/a.py": code})) == []


def test_a_key_in_a_script_is_found(made_up: MakeHouse) -> None:
    house = made_up(
        {
            "jobqueue/broker/lua/spells.lua": "redis.call('GET', prefix .. ':wip:' .. queue)",
            "jobqueue/broker/lua/is_told.lua": "-- prefix .. ':wip:'\nredis.call('GET', KEYS[1])",
        }
    )

    assert key_spellers(house) == [Place("jobqueue/broker/lua/spells.lua")]


@pytest.mark.parametrize(
    "code", ["sql = \"json_extract(value, '$[6]')\"", "for i in range(0, n, 5 * BATCH): pass"]
)
def test_a_positional_protocol_is_found(code: str, made_up: MakeHouse) -> None:
    assert positional(made_up({"jobqueue/a.py": code})) == [Place("jobqueue/a.py")]


def test_a_batch_of_rows_is_no_positional_protocol(made_up: MakeHouse) -> None:
    code = "for i in range(0, n, BATCH): sql = f\"json_extract(value, '$[{index}]')\""

    assert positional(made_up({"jobqueue/a.py": code})) == []


def test_a_positional_protocol_in_a_script_is_found(made_up: MakeHouse) -> None:
    house = made_up({"jobqueue/a.lua": "local id = ARGV[i + 1]", "jobqueue/b.lua": "local id = ARGV[1]"})

    assert positional(house) == [Place("jobqueue/a.lua")]


# The report -----------------------------------------------------------------------------------------


def test_every_measure_stands_beside_its_limit(made_up: MakeHouse) -> None:
    text, _ = report(made_up({"jobqueue/a.py": a_function(3)}))

    assert [line[4:].split("  ")[0] for line in text.splitlines()[:-1]] == [
        "longest file",
        "longest class",
        "longest function",
        "median function",
        "circles of imports",
        "files that guard a claim",
        "files that import rq or redis",
        "files that spell a Redis key",
        "files with a positional protocol",
    ]
    assert text.count("limit: ") == 9


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
