"""The groups of operators: made once, with their permissions, wherever groups are kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from jobqueue.counts import triggers
from jobqueue.operating.rights import Right
from tests.jobqueue.groups import FINER, GROUPS, OF_PROCESSORS

BEFORE = [("jobqueue", "0008_causes")]
VERBS = {right.partition(".")[2] for right in Right} - {"delete_job"}
NO_LONGER_USED = {"clear_job", "control_worker"}


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
    assert set(GROUPS["Job operator"]) == set(GROUPS["Job viewer"]) | VERBS | NO_LONGER_USED | {"view_audit"}


@pytest.mark.django_db
def test_each_verb_has_a_permission() -> None:
    there = Permission.objects.filter(content_type__app_label="jobqueue").values_list("codename", flat=True)
    assert VERBS | {"view_payload", "view_audit", "delete_job"} <= set(there)


# Finer permissions ----------------------------------------------------------------------------------

COARSE = [("jobqueue", "0021_bulk_verbs")]


@pytest.fixture
def before_finer(transactional_db: None) -> Iterator[None]:
    """The default database before each verb had a permission of its own, and afterwards as it was."""
    _migrate("default", COARSE)
    for name in NO_LONGER_USED - set(Permission.objects.values_list("codename", flat=True)):
        kind = ContentType.objects.get(app_label="jobqueue", model=name.partition("_")[2])
        Permission.objects.create(codename=name, content_type=kind, name=name)
    yield
    _migrate("default")


def _with(*codenames: str) -> tuple[User, Group]:
    """A user, and a group, who hold these, and are called by the first of them."""
    user, group = User.objects.create_user(codenames[0]), Group.objects.create(name=codenames[0])
    rows = Permission.objects.filter(content_type__app_label="jobqueue", codename__in=codenames)
    user.user_permissions.set(rows)
    group.permissions.set(rows)
    return user, group


def _held(holder: User | Group) -> set[str]:
    mine = holder.user_permissions if isinstance(holder, User) else holder.permissions
    return set(mine.values_list("codename", flat=True))


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_who_held_what_stood_for_several_verbs_holds_each_of_them(before_finer: None) -> None:
    holders = {coarse: _with(coarse) for coarse in (*FINER, *OF_PROCESSORS)}
    _migrate("default")
    held = {coarse: [_held(holder) for holder in both] for coarse, both in holders.items()}
    assert held == {coarse: [_finer_than(coarse)] * 2 for coarse in holders}


def _finer_than(coarse: str) -> set[str]:
    """What whoever held this holds afterwards, this included."""
    held = {coarse, *FINER.get(coarse, ())}
    return held | {name for one in held for name in OF_PROCESSORS.get(one, ())}


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_backwards_who_has_all_of_them_holds_the_former_again(before_finer: None) -> None:
    _migrate("default")
    user, group = _with("put_back_job", "fail_job", "stop_bulkaction", "quiet_worker")
    Permission.objects.filter(codename="clear_job").delete()
    _migrate("default", COARSE)
    assert _held(user) == _held(group) == {"clear_job"}
    assert not Permission.objects.filter(codename="fail_job").exists()
    assert Permission.objects.get(codename="clear_job").name == "Can clear stuck jobs"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_permission_that_is_asked_for_no_more_says_so(before_finer: None) -> None:
    _migrate("default")
    names = dict(Permission.objects.values_list("codename", "name"))
    assert {names[code] for code in NO_LONGER_USED} == {
        "No longer used: Can clear stuck jobs",
        "No longer used: Can quiet and stop workers",
    }
    assert names["pause_queue"] == "Can pause queues"
