"""The groups of operators: made once, with their permissions, wherever groups are kept."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from jobqueue.counts import triggers

GROUPS = import_module("jobqueue.migrations.0009_operators").GROUPS
BEFORE = [("jobqueue", "0008_causes")]
VERBS = {
    *("retry_job", "cancel_job", "run_job", "clear_job", "stop_job", "move_job", "copy_job"),
    *("pause_queue", "limit_queue", "control_worker", "mute_cause"),
}


@pytest.fixture(params=["default", "other"])
def using(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[str]:
    """A database before the groups, and afterwards as it was."""
    _migrate(request.param, BEFORE)
    Group.objects.using(request.param).all().delete()
    yield request.param
    _migrate(request.param)
    triggers.install(request.param)  # SQLite makes a table anew to take a column away, without its triggers


def _migrate(using: str, targets: list[tuple[str, str]] | None = None) -> None:
    executor = MigrationExecutor(connections[using])
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


def _permissions(name: str, using: str = "default") -> set[str]:
    chosen = Group.objects.using(using).get(name=name).permissions
    return set(chosen.values_list("codename", flat=True))


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_the_groups_have_their_permissions_as_soon_as_they_are_there(using: str) -> None:
    Permission.objects.using(using).filter(content_type__app_label="jobqueue").delete()
    _migrate(using)
    assert {name: _permissions(name, using) for name in GROUPS} == {
        name: set(words) for name, words in GROUPS.items()
    }


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_group_of_that_name_stays_as_the_site_made_it(using: str) -> None:
    Group.objects.using(using).create(name="Job operator")
    _migrate(using)
    assert _permissions("Job operator", using) == set()


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_what_a_site_changed_is_not_undone_by_the_next_migrate(using: str) -> None:
    _migrate(using)
    Group.objects.using(using).get(name="Job viewer").delete()
    Group.objects.using(using).get(name="Job operator").permissions.clear()
    _migrate(using)
    assert not Group.objects.using(using).filter(name="Job viewer").exists()
    assert _permissions("Job operator", using) == set()


def test_a_viewer_changes_nothing() -> None:
    assert all(word.startswith("view_") and word != "view_payload" for word in GROUPS["Job viewer"])


def test_an_operator_has_every_verb_but_the_one_that_nobody_can_take_back() -> None:
    assert set(GROUPS["Job operator"]) == set(GROUPS["Job viewer"]) | VERBS | {"view_audit"}


@pytest.mark.django_db
def test_each_verb_has_a_permission() -> None:
    there = Permission.objects.filter(content_type__app_label="jobqueue").values_list("codename", flat=True)
    assert VERBS | {"view_payload", "view_audit", "delete_job"} <= set(there)
