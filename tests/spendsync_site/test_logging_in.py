"""What a user may do, asked for with one statement."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    """Who may some things by themselves, others by a group, and one by both."""
    user = User.objects.create_user("operator", is_staff=True)
    user.groups.set(Group.objects.filter(name="Job viewer"))
    user.user_permissions.set(Permission.objects.filter(codename__in=["pause_queue", "view_job"]))
    return user


def test_permissions_are_those_that_django_finds(operator: User) -> None:
    fresh = User.objects.get(pk=operator.pk)
    assert operator.get_all_permissions() == ModelBackend().get_all_permissions(fresh) != set()


def test_one_statement_tells_all_that_a_user_may_do(operator: User) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert operator.has_perm("jobqueue.view_job") and operator.has_perm("jobqueue.pause_queue")
        assert operator.has_module_perms("jobqueue") and not operator.has_perm("auth.delete_user")
    assert len(asked) == 1


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_superuser": True}])
def test_who_may_nothing_or_everything_is_told_as_django_tells_it(
    operator: User, change: dict[str, Any]
) -> None:
    User.objects.filter(pk=operator.pk).update(**change)
    one, other = User.objects.get(pk=operator.pk), User.objects.get(pk=operator.pk)
    assert one.get_all_permissions() == ModelBackend().get_all_permissions(other)


def test_what_is_allowed_for_one_record_only_nobody_may(operator: User) -> None:
    assert not operator.has_perm("jobqueue.view_job", operator)
