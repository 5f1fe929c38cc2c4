"""Rules of saves: which are told of what, and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from jobqueue import rule_checks
from jobqueue.exceptions import InvalidRule
from jobqueue.rules import Change, on_save
from settlements.models import Settlement
from tests.jobqueue.rule_steps import Rule, in_both_databases, made_settlement

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_rules_of_the_test")]


@pytest.fixture
def rule() -> Rule:
    """A rule for the e-mail address and the first name of users."""
    remembered = Rule()
    on_save(User, remembered, fields=["email", "first_name"])
    return remembered


@pytest.fixture
def user(rule: Rule) -> User:
    """A user that is saved and whose creation is forgotten."""
    created = User.objects.create_user("somebody", "old@example.com", first_name="Old")
    rule.changes.clear()
    return created


# Rules ----------------------------------------------------------------------------------------------


def test_two_rules_of_a_model_are_told_of_their_own_fields(user: User, rule: Rule) -> None:
    other = Rule()
    on_save(User, other, fields=["last_name", "email"])
    user.last_name, user.first_name = "New", "New"
    user.save()

    assert set(rule.last()) == {"first_name"}
    assert set(other.last()) == {"last_name"}


def test_the_rows_values_are_read_once_for_all_rules(
    user: User, django_assert_num_queries: Callable[..., Any]
) -> None:
    for _ in range(3):
        on_save(User, Rule(), fields=["last_name"])

    with django_assert_num_queries(2):  # SELECT and UPDATE
        user.save()


def test_a_rule_that_is_connected_twice_is_told_once(user: User, rule: Rule) -> None:
    on_save(User, rule, fields=["email", "first_name"])
    user.email = "new@example.com"
    user.save()

    assert len(rule.changes) == 1


def test_rules_of_two_models_do_not_meet(user: User, rule: Rule) -> None:
    groups = Rule()
    on_save(Group, groups, fields=["name"])
    Group.objects.create(name="group")

    assert (len(groups.changes), rule.changes) == (1, [])


def test_a_rule_for_what_is_no_column_is_refused_and_no_save_passes_it_by() -> None:
    on_save(Group, Rule(), fields=["user"])

    assert "'user' is the other side of a relation" in str(rule_checks.check_rules(None))
    with pytest.raises(InvalidRule, match="'user' is the other side of a relation: make the rule for User"):
        Group.objects.create(name="group")


def test_an_error_in_a_rule_undoes_the_save() -> None:
    def broken(instance: Any, change: Change) -> None:
        raise RuntimeError("broken")

    on_save(Settlement, broken, fields=["status"])
    settlement = made_settlement()
    with pytest.raises(RuntimeError):
        settlement.save()

    assert not Settlement.objects.exists()


@in_both_databases
def test_a_save_in_another_database_is_compared_and_told_there() -> None:
    rule = Rule()
    on_save(Group, rule, fields=["name"])
    Group.objects.create(pk=1001, name="here")
    there = Group(pk=1001, name="there")
    there.save(using="other")
    there.name = "elsewhere"
    there.save()

    assert [(change.using, change.created) for change in rule.changes] == [
        ("default", True),
        ("other", True),
        ("other", False),
    ]
    assert rule.changes[-1].fields == {"name": ("there", "elsewhere")}


# Change ---------------------------------------------------------------------------------------------


CHANGE = Change(False, "default", {"status": ("pending", "completed")})


def test_a_change_knows_what_became_what() -> None:
    assert CHANGE.became("status", "completed")
    assert CHANGE.became("status", "cancelled", "completed")
    assert not CHANGE.became("status", "pending")
    assert not CHANGE.became("amount", "completed")


def test_a_change_knows_the_old_value() -> None:
    assert CHANGE.old("status") == "pending"
    assert CHANGE.old("amount") is None


def test_a_change_knows_its_fields() -> None:
    assert "status" in CHANGE
    assert "amount" not in CHANGE
