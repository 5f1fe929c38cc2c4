"""Listeners: each one hears, whatever another one raises, and none fails what it hears of."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import transaction

from jobqueue import signals
from jobqueue.exceptions import EndsHere
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.worker.steps import heard_by, raising

KINDS = [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError]


@pytest.mark.parametrize("kind", KINDS)
def test_the_others_hear_too(kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def behind_it(**_: Any) -> None:
        heard.append("behind it")

    async def in_a_loop(**_: Any) -> None:
        heard.append("in a loop")

    with (
        heard_by(signals.job_started, raising(kind("no"))),
        heard_by(signals.job_started, behind_it),
        heard_by(signals.job_started, in_a_loop),
    ):
        signals.send(signals.job_started, Job, job=Job())

    assert heard == ["behind it", "in a loop"]
    assert "failed" in caplog.text


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_so_they_do_where_a_coroutine_raises(kind: type[BaseException]) -> None:
    heard: list[str] = []

    async def fails(**_: Any) -> None:
        raise kind("no")

    async def hears(**_: Any) -> None:
        heard.append("heard")

    with heard_by(signals.job_started, fails), heard_by(signals.job_started, hears):
        signals.send(signals.job_started, Job, job=Job())

    assert heard == ["heard"]


def test_an_interrupt_from_a_listener_in_a_thread_is_no_interrupt() -> None:
    escaped: list[BaseException] = []

    def send() -> None:
        try:
            signals.send(signals.job_started, Job, job=Job())
        except BaseException as error:
            escaped.append(error)

    with heard_by(signals.job_started, raising(KeyboardInterrupt())):
        thread = threading.Thread(target=send)
        thread.start()
        thread.join()

    assert escaped == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EndsHere(0)])
def test_ctrl_c_and_a_stop_of_this_process_are_let_through(error: BaseException) -> None:
    with heard_by(signals.job_started, raising(error)), pytest.raises(type(error)):
        signals.send(signals.job_started, Job, job=Job())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_raised_after_the_commit(kind: type[BaseException]) -> None:
    with heard_by(signals.job_enqueued, raising(kind("no"))), transaction.atomic():
        job = enqueue(SUCCEED)

    assert list(Job.objects.all()) == [job]
