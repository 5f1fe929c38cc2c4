"""Rows that nobody should have written, and what must be true beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from _pytest.mark import ParameterSet
from django.db import connection

from jobqueue.models import Job

IS_POSTGRESQL = connection.vendor == "postgresql"
# What may stand in a column of texts, as SQL: any bytes on SQLite, and on PostgreSQL what no screen shows.
ODD_TEXTS = (
    ("chr(8238) || 'err'", "chr(27) || 'err' || chr(1)")
    if IS_POSTGRESQL
    else ("x'65727200'", "CAST(x'657272ff' AS TEXT)")
)


def _nested(depth: int) -> str:
    """A payload nested so deep."""
    return "'" + '{"a":' * depth + "1" + "}" * depth + "'"


_NO_TEXT = "CAST(x'66ff8080' AS TEXT)"
_ON_SQLITE = {
    "payload": {
        "is no JSON": "'{\"a\": '",
        "is a list": "'[1, 2]'",
        "is a number": "'5'",
        "is null": "'null'",
        "is empty": "''",
        "is bytes": "x'00ff'",
        "is no text": _NO_TEXT,
        "is nested 1,900 deep": _nested(1_900),
        "has a number of 5,000 digits": f"""'{{"a": {"9" * 5_000}}}'""",
    },
    "run_at": {
        "is garbage": "'garbage'",
        "is empty": "''",
        "is no day": "'2020-02-31 00:00:00'",
        "is a number": "7",
        "is after the year 9999": "'99999-01-01 00:00:00'",
        "is bytes": "x'ff'",
    },
    "created_at": {"is garbage": "'garbage'", "is no day": "'2020-13-01 00:00:00'", "is empty": "''"},
    "timeout": {"is a text": "'soon'", "is infinite": "9e999"},
    "attempt": {"is a text": "'second'", "is too large": str(2**63 - 1), "has ten digits": str(10**9)},
    "failures": {"is a text": "'none'"},
    "processor": {"is no text": _NO_TEXT, "is bytes": "x'ff00'"},
    "queue": {"is no text": _NO_TEXT, "is bytes": "x'ff00'"},
    "subject": {"is no text": _NO_TEXT},
    "id": {"is negative": "-5"},
}
_ON_POSTGRESQL = {
    "payload": {
        "is a list": "'[1, 2]'",
        "is a number": "'5'",
        "is a text": "'\"text\"'",
        "is null": "'null'",
        "is nested 3,000 deep": _nested(3_000),
        "has a number of 5,000 digits": f"""'{{"a": {"9" * 5_000}}}'""",
    },
    "run_at": {
        "is infinity": "'infinity'",
        "is minus infinity": "'-infinity'",
        "is after the year 9999": "'20260-01-01 00:00:00+00'",
        "is before the year 1": "'0044-03-15 00:00:00+00 BC'",
    },
    "created_at": {"is infinity": "'infinity'", "is before the year 1": "'0044-03-15 00:00:00+00 BC'"},
    "timeout": {"is infinite": "'Infinity'", "is not a number": "'NaN'", "is 1e300": "1e300"},
    "attempt": {"is too large": str(2**31 - 1)},
    "id": {"is negative": "-5"},
}


ALL = [
    (column, value)
    for column, values in (_ON_POSTGRESQL if IS_POSTGRESQL else _ON_SQLITE).items()
    for value in values.values()
]


def _case(column: str, what: str, value: str) -> ParameterSet:
    # A statement that fails ends the transaction on PostgreSQL, also that of a test.
    marks = [pytest.mark.django_db(transaction=True)] if column == "timeout" else []
    return pytest.param(column, what, value, id=f"{column} {what}", marks=marks)


HOSTILE = [
    _case(column, what, value)
    for column, values in (_ON_POSTGRESQL if IS_POSTGRESQL else _ON_SQLITE).items()
    for what, value in values.items()
]


def spoil(job: Job, column: str, value: str) -> int:
    """Write this expression of SQL into a column of the job. Returns the job's id."""
    update = f"UPDATE jobqueue_job SET {column} = {value} WHERE id = {job.pk}"
    checks = "PRAGMA ignore_check_constraints = {}"
    _execute([update] if IS_POSTGRESQL else [checks.format("ON"), update, checks.format("OFF")])
    return int(value) if column == "id" else job.pk


@contextmanager
def refused(job: Job) -> Iterator[None]:
    """Every change of this row is refused by a trigger, but one that sets it aside."""
    condition = f"OLD.id = {job.pk} AND NEW.set_aside = ''"
    if IS_POSTGRESQL:
        statements = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no change of this row'; END $$",
            f"CREATE TRIGGER refuse BEFORE UPDATE ON jobqueue_job FOR EACH ROW WHEN ({condition})"
            " EXECUTE FUNCTION refuse()",
        ]
        ends = ["DROP FUNCTION refuse CASCADE"]
    else:
        statements = [
            f"CREATE TRIGGER refuse BEFORE UPDATE ON jobqueue_job WHEN {condition}"
            " BEGIN SELECT RAISE(ABORT, 'no change of this row'); END"
        ]
        ends = ["DROP TRIGGER refuse"]
    _execute(statements)
    try:
        yield
    finally:
        _execute(ends)


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def set_aside_of(pk: int) -> str:
    """Why the row is set aside, read without looking at anything else of it; empty if it is not."""
    found = Job.objects.set_aside().filter(pk=pk).values_list("set_aside", flat=True)
    return next(iter(found), "")
