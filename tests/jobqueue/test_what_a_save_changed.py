"""What a save really changed in the database, as rules are told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.db.models.signals import post_save
from moneyed import Money

from jobqueue import rules
from jobqueue.rules import on_save
from settlements.models import Settlement
from tests.jobqueue.rule_steps import Rule, made_settlement

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


def test_a_new_row_is_told_as_created_with_its_values(rule: Rule) -> None:
    User.objects.create_user("somebody", "new@example.com")
    [change] = rule.changes

    assert (change.created, change.using) == (True, "default")
    assert change.fields["email"] == (None, "new@example.com")


def test_a_changed_field_is_told_with_its_old_and_new_value(user: User, rule: Rule) -> None:
    user.email = "new@example.com"
    user.save()
    [change] = rule.changes

    assert (change.created, change.fields) == (False, {"email": ("old@example.com", "new@example.com")})


def test_a_save_without_a_change_is_not_told(user: User, rule: Rule) -> None:
    user.save()

    assert rule.changes == []


def test_a_change_of_another_field_is_not_told(user: User, rule: Rule) -> None:
    user.last_name = "New"
    user.save()

    assert rule.changes == []


def test_several_changed_fields_are_told_together(user: User, rule: Rule) -> None:
    user.email, user.first_name = "new@example.com", "New"
    user.save()

    assert set(rule.last()) == {"email", "first_name"}


def test_a_change_and_its_undoing_are_two_changes(user: User, rule: Rule) -> None:
    for email in ("new@example.com", "old@example.com"):
        user.email = email
        user.save()

    assert [change.fields["email"][1] for change in rule.changes] == ["new@example.com", "old@example.com"]


def test_a_raw_save_is_not_told(user: User, rule: Rule) -> None:
    text = serializers.serialize("json", [user]).replace("old@", "new@")
    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert rule.changes == []
    user.refresh_from_db()
    assert user.email == "new@example.com"


def test_a_raw_save_of_a_new_row_is_not_told(user: User, rule: Rule) -> None:
    text = serializers.serialize("json", [user])
    user.delete()
    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert rule.changes == []
    assert User.objects.filter(username="somebody").exists()


def test_what_is_written_without_a_save_is_not_told(user: User, rule: Rule) -> None:
    User.objects.bulk_create([User(username="another", email="new@example.com")])
    User.objects.update(email="newer@example.com")
    user.email = "newest@example.com"
    User.objects.bulk_update([user], ["email"])

    assert rule.changes == []


def test_update_fields_that_leave_the_field_out_do_not_change_it(user: User, rule: Rule) -> None:
    user.email = "new@example.com"
    user.save(update_fields=["last_name"])

    assert rule.changes == []


def test_update_fields_with_the_field_change_it(user: User, rule: Rule) -> None:
    user.email = user.first_name = "new@example.com"
    user.save(update_fields=["email"])

    assert set(rule.last()) == {"email"}


def test_an_expression_is_told_as_the_value_it_had(user: User, rule: Rule) -> None:
    user.first_name = Concat(F("first_name"), Value("er"))
    user.save()

    assert rule.last() == {"first_name": ("Old", "Older")}


def test_an_expression_that_changes_nothing_is_not_told(user: User, rule: Rule) -> None:
    user.first_name = Concat(F("first_name"), Value(""))
    user.save()

    assert rule.changes == []


def test_a_stale_instance_counts_as_what_it_does_to_the_row(user: User, rule: Rule) -> None:
    stale = User.objects.get(pk=user.pk)
    user.email = "new@example.com"
    user.save()
    rule.changes.clear()
    stale.save()

    assert rule.last() == {"email": ("new@example.com", "old@example.com")}


def test_an_instance_that_brings_what_the_row_has_already_is_not_told(user: User, rule: Rule) -> None:
    stale = User.objects.get(pk=user.pk)
    user.email = "new@example.com"
    user.save()
    rule.changes.clear()
    stale.email = "new@example.com"
    stale.save()

    assert rule.changes == []


def test_a_row_changed_by_update_counts_when_it_is_saved_over(user: User, rule: Rule) -> None:
    User.objects.filter(pk=user.pk).update(email="meanwhile@example.com")
    user.save()

    assert rule.last() == {"email": ("meanwhile@example.com", "old@example.com")}


@pytest.mark.parametrize("options", [{}, {"force_update": True}])
def test_a_new_instance_saved_over_a_row_counts_as_what_it_changes(
    user: User, rule: Rule, options: dict[str, Any]
) -> None:
    User(pk=user.pk, username="somebody", email="new@example.com", first_name="Old").save(**options)
    [change] = rule.changes

    assert (change.created, change.fields) == (False, {"email": ("old@example.com", "new@example.com")})


def test_a_new_instance_with_a_key_of_its_own_is_created(rule: Rule) -> None:
    User(pk=4711, username="somebody").save()

    assert rule.changes[0].created


def test_a_new_row_whose_key_has_a_default_is_created_without_reading_it_before(
    django_assert_num_queries: Callable[..., Any],
) -> None:
    rule = Rule()
    on_save(Settlement, rule, fields=["status"])
    settlement = made_settlement()
    with django_assert_num_queries(3):  # savepoint, INSERT, release
        settlement.save()

    assert rule.changes[0].created


def test_a_copy_of_a_row_under_a_new_key_is_created(user: User, rule: Rule) -> None:
    user.pk, user._state.adding, user.username = None, True, "copy"
    user.save()

    assert rule.changes[0].created


def test_an_instance_read_without_the_field_counts_as_unchanged(user: User, rule: Rule) -> None:
    User.objects.only("last_name").get(pk=user.pk).save()

    assert rule.changes == []


def test_a_text_that_means_the_stored_value_is_no_change() -> None:
    rule = Rule()
    on_save(Settlement, rule, fields=["due_date", "amount", "payer", "id"])
    settlement = made_settlement()
    settlement.save()
    rule.changes.clear()
    settlement.due_date = settlement.due_date.isoformat()
    settlement.payer_id = str(settlement.payer_id)
    settlement.amount = Money("100.00", "EUR")
    settlement.save()

    assert rule.changes == []


def test_a_changed_relation_is_told_under_its_fields_name() -> None:
    rule = Rule()
    on_save(Settlement, rule, fields=["payer"])
    settlement = made_settlement()
    settlement.save()
    rule.changes.clear()
    old, settlement.payer = settlement.payer, User.objects.create(username="another")
    settlement.save()

    assert rule.last() == {"payer": (old.pk, settlement.payer_id)}


def test_a_save_that_failed_leaves_no_memory_for_the_next(user: User, rule: Rule) -> None:
    User.objects.create_user("taken")
    rule.changes.clear()
    user.username = "taken"
    with pytest.raises(IntegrityError), transaction.atomic():
        user.save()
    user.username, user.email = "somebody", "new@example.com"
    user.save()

    assert rule.last() == {"email": ("old@example.com", "new@example.com")}


def test_a_save_inside_another_receiver_is_told_once_and_the_outer_one_as_what_it_did(rule: Rule) -> None:
    """Another app's receiver, connected before ours, saves the same instance again."""
    again: list[bool] = []

    def saves_again(instance: User, **_: Any) -> None:
        if not again:
            again.append(True)
            instance.save()

    user = User.objects.create_user("somebody", "old@example.com", first_name="Old")
    rule.changes.clear()
    post_save.receivers.clear()
    post_save.sender_receivers_cache.clear()
    post_save.connect(saves_again, sender=User)
    post_save.connect(rules._watchers[User].after, sender=User, weak=False)
    user.email = "new@example.com"
    user.save()

    assert [change.fields for change in rule.changes] == [{"email": ("old@example.com", "new@example.com")}]
