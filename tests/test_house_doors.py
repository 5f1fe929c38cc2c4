"""Who does what in the house: the guard of a claim, Redis and its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import (
    GUARDS,
    TALKERS,
    House,
    guards,
    key_spellers,
    outside_of,
    positional,
    talkers,
)
from tests.houses import MakeHouse
from tests.source_code import Place

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
