"""Aliases that only read what another one writes, and an alias that names no database."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from jobqueue.jobs import enqueue
from jobqueue.models import Attempt, Job, Worker
from jobqueue.sql import replicas
from jobqueue.sql.databases import databases

REPLICAS = ("replica_1", "replica_2")


class PrimaryReplicaRouter:
    """As Django's documentation has it."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return random.choice(REPLICAS)

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *_: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return True


@pytest.fixture
def add_alias(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Adds an alias to DATABASES: as another one, with changes."""

    def add(alias: str, like: str = "default", **changes: Any) -> None:
        settings = connections.settings[like]
        added = settings | {"TEST": dict(settings["TEST"]), **changes}
        monkeypatch.setitem(connections.settings, alias, added)
        replicas._replicas.cache_clear()

    yield add
    replicas._replicas.cache_clear()


@pytest.fixture
def routed(add_alias: Any) -> Iterator[None]:
    """A primary and two replicas that nobody can reach, behind the documented router."""
    for number, alias in enumerate(REPLICAS):
        add_alias(alias, NAME=f"/nowhere/{number}", HOST="replica.invalid")
    with override_settings(DATABASE_ROUTERS=[PrimaryReplicaRouter()]):
        replicas._replicas.cache_clear()
        yield


def test_what_routers_only_read_from_is_not_served(routed: None) -> None:
    assert databases() == ["default", "other"]


def test_the_mirror_of_another_alias_is_not_served(add_alias: Any) -> None:
    add_alias("mirror", NAME="/nowhere", TEST={"MIRROR": "other"})
    assert databases() == ["default", "other"]
    assert replicas.written_through("mirror") == "other"


def test_a_second_alias_of_the_same_database_is_not_served(add_alias: Any) -> None:
    add_alias("again", like="other")
    assert databases() == ["default", "other"]
    assert replicas.written_through("again") == "other"


def test_another_schema_of_the_same_postgresql_database_is_served(add_alias: Any) -> None:
    place = {"ENGINE": "django.db.backends.postgresql", "HOST": "localhost", "NAME": "shop", "USER": "shop"}
    add_alias("one", **place, OPTIONS={"options": "-c search_path=one"})
    add_alias("two", **place, OPTIONS={"options": "-c search_path=two"})
    assert databases() == ["default", "other", "one", "two"]


def test_an_alias_without_a_database_is_not_served(add_alias: Any) -> None:
    add_alias("nothing", ENGINE="django.db.backends.dummy", NAME="")
    assert databases() == ["default", "other"]


@pytest.mark.django_db
def test_jobs_are_read_where_they_are_written(routed: None) -> None:
    job = enqueue("workload.write", name="one")
    assert Job.objects.get(pk=job.pk).state == "waiting"
    assert Job.objects.db == Attempt.objects.db == Worker.objects.all().db == "default"
    assert list(job.attempts.all()) == []


@pytest.mark.django_db
def test_what_was_not_read_of_a_job_is_read_where_it_is_written(routed: None) -> None:
    job = enqueue("workload.write", name="one")
    deferred = Job.objects.only("pk").get(pk=job.pk)
    assert deferred.processor == "workload.write"


@pytest.mark.django_db
def test_a_job_of_a_row_that_was_read_from_a_replica_is_written(routed: None) -> None:
    assert enqueue("workload.write", name="one", using="replica_2")._state.db == "default"


@pytest.mark.django_db
def test_a_job_that_was_read_from_a_replica_is_changed_where_it_is_written(routed: None) -> None:
    job = enqueue("workload.write", name="one", delay=60)
    job._state.db = "replica_1"
    job.cancel()
    assert Job.objects.get(pk=job.pk).state == "cancelled"
