"""What a user may do, asked for with one statement, and told as Django tells it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    """Who may some things by themselves, others by a group, and one by both."""
    user = User.objects.create_user("operator", password="x", is_staff=True)
    user.groups.set(Group.objects.filter(name="Job viewer"))
    user.user_permissions.set(Permission.objects.filter(codename__in=["pause_queue", "view_job"]))
    return user


def _every_permission() -> list[str]:
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    return [f"{label}.{codename}" for label, codename in rows]


@pytest.mark.parametrize("change", [{}, {"is_active": False}, {"is_superuser": True}])
def test_who_may_what_is_told_as_django_tells_it(operator: User, change: dict[str, Any]) -> None:
    User.objects.filter(pk=operator.pk).update(**change)
    one, other = User.objects.get(pk=operator.pk), User.objects.get(pk=operator.pk)
    assert {name for name in _every_permission() if one.has_perm(name)} == ModelBackend().get_all_permissions(
        other
    )


def test_one_statement_tells_all_that_a_user_may_and_may_not_do(operator: User) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert operator.has_perm("jobqueue.view_job") and operator.has_perm("jobqueue.pause_queue")
        assert operator.has_module_perms("jobqueue") and not operator.has_module_perms("knox")
        assert not operator.has_perm("auth.delete_user")
    assert len(asked) == 1


def test_what_is_allowed_for_one_record_only_nobody_may(operator: User) -> None:
    assert not operator.has_perm("jobqueue.view_job", operator)


def test_a_session_says_that_django_let_its_user_in(operator: User, client: Client) -> None:
    # Code of a release before knows no other: in a deploy its pages would ask for the password again.
    assert client.login(username="operator", password="x")
    assert client.session["_auth_user_backend"] == "django.contrib.auth.backends.ModelBackend"
