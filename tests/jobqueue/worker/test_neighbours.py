"""Workers of another installation on the same Redis are known by their rows: nobody here keeps them alive."""

from __future__ import annotations

import logging
import uuid

import pytest
from django.conf import LazySettings

from jobqueue.broker import neighbours
from jobqueue.worker.neighbours import Neighbours
from tests.jobqueue.steps import OTHER_IDENTITY, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "other"])

STRANGER = uuid.UUID(int=99).hex


@pytest.fixture(autouse=True)
def _without_patience(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"HEARTBEAT_INTERVAL": 0.001, "WORKER_SILENCE": 0.003}


@pytest.fixture
def looking() -> Neighbours:
    """What a worker of ours looks out with."""
    return Neighbours(make_worker())


def _look_while_it_lives(looking: Neighbours, worker_id: str, times: int) -> list[str]:
    """What a worker finds out while another gives signs of life in Redis."""
    found: list[str] = []
    for _ in range(times):
        neighbours.announce(worker_id, "the database staging")
        found = found or looking.look()
    return found


def test_a_worker_whose_row_is_not_here_is_a_stranger(looking: Neighbours) -> None:
    assert _look_while_it_lives(looking, STRANGER, 100) == ["the database staging"]
    assert "the database staging" in neighbours.warning()
    assert "REDIS_JOB_QUEUE_DB" in neighbours.warning()


def test_a_stranger_is_logged_once_a_minute(looking: Neighbours, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            _look_while_it_lives(looking, STRANGER, 100)

    [record] = [record for record in caplog.records if record.name == "jobqueue.worker.neighbours"]
    assert record.message == neighbours.warning()


@pytest.mark.parametrize("using", ["default", "other"])
def test_a_worker_with_a_living_row_in_any_database_is_none(
    looking: Neighbours, settings: LazySettings, using: str
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    worker = make_worker(OTHER_IDENTITY, using=using)

    assert _look_while_it_lives(looking, worker.pk.hex, 3) == []
    assert looking._unknown == {}


def test_the_row_of_a_copy_that_nobody_keeps_alive_does_not_hide_a_stranger(looking: Neighbours) -> None:
    copied = make_worker(OTHER_IDENTITY, silent_for=600)

    assert _look_while_it_lives(looking, copied.pk.hex, 100)


def test_what_a_worker_that_has_ended_left_behind_is_no_stranger(looking: Neighbours) -> None:
    neighbours.announce(STRANGER, "gone")

    assert [looking.look() for _ in range(50)] == [[]] * 50
    assert neighbours.warning() == ""


def test_a_stranger_is_not_named_before_a_worker_of_ours_would_have_written_its_row(
    looking: Neighbours, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"WORKER_SILENCE": 20}

    assert _look_while_it_lives(looking, STRANGER, 10) == []
