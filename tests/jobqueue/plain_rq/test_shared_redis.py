"""While two sites share Redis nobody knows whose a message of plain RQ is: it waits, and is listed."""

from __future__ import annotations

import os

import pytest
import redis

from jobqueue.broker import neighbours, set_aside
from jobqueue.models import Job
from jobqueue.plain_rq import adoption
from tests.jobqueue.plain_rq.steps import NOTED, adopt, make_due, put, quarantined
from tests.workload.functions import note

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("function", [note, os.getcwd], ids=["allowed", "not allowed"])
def test_a_message_of_plain_rq_is_neither_run_nor_refused(
    redis_client: redis.Redis, function: object
) -> None:
    neighbours.warn("two sites")
    put(function)

    assert adoption.look_after(quarantined()) == 0
    assert not Job.objects.exists()
    assert redis_client.exists(NOTED)
    [known] = set_aside.listed(redis_client)
    assert "two installations share this Redis" in known.reason


def test_it_runs_once_the_two_are_parted(redis_client: redis.Redis) -> None:
    neighbours.warn("two sites")
    put(note, "a")
    adoption.look_after(quarantined())
    redis_client.delete("rq:jobqueue:shared")
    make_due(redis_client)

    assert adoption.look_after_due() == 1
    assert Job.objects.get().payload["args"] == ["a"]
    assert set_aside.listed(redis_client) == []


def test_what_was_adopted_before_goes_on(redis_client: redis.Redis) -> None:
    put(note, "a")
    job = adopt()
    neighbours.warn("two sites")
    make_due(redis_client)

    assert adoption.look_after_due() == 1
    assert Job.objects.get() == job
