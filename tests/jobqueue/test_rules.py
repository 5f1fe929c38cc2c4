"""Saves that become jobs, by what they really changed in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Length
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from moneyed import Money

from jobqueue import rule_checks, rules
from jobqueue.exceptions import InvalidRule
from jobqueue.models import Job
from jobqueue.rules import Change, before_save, enqueue_on_save, on_save
from jobqueue.sql.clock import database_now
from settlements.models import Settlement
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import claim_row, list_of

pytestmark = pytest.mark.django_db
in_both_databases = pytest.mark.django_db(databases=["default", "other"])


class Rule:
    """A rule that remembers what it was told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, instance: Any, change: Change) -> None:
        self.changes.append(change)

    def last(self) -> dict[str, tuple[Any, Any]]:
        """What changed in the one save that was told; forgets it."""
        [change] = self.changes
        self.changes.clear()
        return change.fields


@pytest.fixture(autouse=True)
def _only_rules_of_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No rule of the site listens, and none of a test goes on listening."""
    monkeypatch.setattr(rules, "_watchers", {})
    for signal in (pre_save, post_save):
        monkeypatch.setattr(signal, "receivers", [])
        signal.sender_receivers_cache.clear()
    yield
    for signal in (pre_save, post_save):
        signal.sender_receivers_cache.clear()


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


def _settlement(**fields: Any) -> Settlement:
    values: dict[str, Any] = {
        "payer": User.objects.get_or_create(username="payer")[0],
        "payee": User.objects.get_or_create(username="payee")[0],
        "amount": Money(100, "EUR"),
        "due_date": timezone.now() + timedelta(days=1),
    }
    return Settlement(**values | fields)


# What a save changed ------------------------------------------------------------------------------


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
    settlement = _settlement()
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
    settlement = _settlement()
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
    settlement = _settlement()
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


# Rules --------------------------------------------------------------------------------------------


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
    settlement = _settlement()
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


# Change -------------------------------------------------------------------------------------------

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


# Jobs ---------------------------------------------------------------------------------------------


def _enqueue_for_users(**options: Any) -> None:
    enqueue_on_save(User, SUCCEED, fields=["email"], **options)


def test_a_new_row_becomes_a_job_about_it() -> None:
    _enqueue_for_users()
    user = User.objects.create_user("somebody")
    job = Job.objects.about(user).get()

    assert (job.processor, job.payload) == (SUCCEED, {"pk": str(user.pk)})


def test_a_save_without_a_change_enqueues_nothing() -> None:
    user = User.objects.create_user("somebody")
    _enqueue_for_users()
    user.save()

    assert not Job.objects.exists()


def test_quick_saves_make_one_job_while_it_waits() -> None:
    _enqueue_for_users()
    user = User.objects.create_user("somebody")
    for number in range(3):
        user.email = f"{number}@example.com"
        user.save()

    assert Job.objects.count() == 1


def test_a_save_after_the_job_started_makes_another() -> None:
    _enqueue_for_users()
    user = User.objects.create_user("somebody")
    claim_row(Job.objects.get())
    user.email = "new@example.com"
    user.save()

    assert Job.objects.about(user).count() == 2


def test_rows_have_jobs_of_their_own() -> None:
    _enqueue_for_users()
    for name in ("one", "other"):
        User.objects.create_user(name)

    assert Job.objects.count() == 2


def test_when_decides_with_the_instance_and_the_change() -> None:
    _enqueue_for_users(when=lambda user, change: not change.created and user.email.startswith("new"))
    user = User.objects.create_user("somebody")
    user.email = "other@example.com"
    user.save()
    assert not Job.objects.exists()

    user.email = "new@example.com"
    user.save()
    assert Job.objects.count() == 1


def test_the_payload_can_be_chosen() -> None:
    _enqueue_for_users(payload=lambda user: {"name": user.username})
    User.objects.create_user("somebody")

    assert Job.objects.get().payload == {"name": "somebody"}


def test_the_job_can_be_delayed() -> None:
    _enqueue_for_users(delay=60)
    User.objects.create_user("somebody")

    assert Job.objects.get().run_at > database_now("default") + timedelta(seconds=50)


@in_both_databases
def test_the_job_is_written_in_the_database_of_the_save() -> None:
    _enqueue_for_users()
    User(username="there").save(using="other")

    assert not Job.objects.exists()
    assert Job.objects.using("other").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_neither_row_nor_job_nor_message(redis_client: redis.Redis) -> None:
    enqueue_on_save(Settlement, SUCCEED, fields=["status"])
    settlement = _settlement()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settlement.save()
        assert Job.objects.exists()
        raise ZeroDivisionError

    assert not Settlement.objects.exists()
    assert not Job.objects.exists()
    assert redis_client.dbsize() == 0


@pytest.mark.django_db(transaction=True)
def test_row_and_job_are_committed_together_and_the_message_follows(redis_client: redis.Redis) -> None:
    enqueue_on_save(Settlement, SUCCEED, fields=["status"])
    _settlement().save()

    assert list_of(redis_client) == [Job.objects.get().message_id]


# Before a save ------------------------------------------------------------------------------------


class Preparation:
    """Remembers what it was given, and makes each first name a capital one."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any] | None] = []

    def __call__(self, user: User, stored: dict[str, Any] | None, using: str) -> None:
        self.stored.append(stored)
        user.first_name = user.first_name.title()


@pytest.fixture
def preparation() -> Preparation:
    """What prepares users, with their name and how long it is."""
    prepared = Preparation()
    before_save(User, prepared, columns=["username"], computed=lambda user: {"length": Length("username")})
    return prepared


def test_a_new_row_is_prepared_without_stored_values(preparation: Preparation) -> None:
    User.objects.create_user("somebody", first_name="ann")

    assert preparation.stored == [None]
    assert User.objects.get().first_name == "Ann"


def test_a_row_is_prepared_with_what_it_holds(preparation: Preparation) -> None:
    user = User.objects.create_user("somebody")
    user.username = "another"
    user.save()

    assert preparation.stored[1:] == [{"username": "somebody", "length": 8}]


def test_a_rule_hears_of_what_the_preparation_made(preparation: Preparation, user: User, rule: Rule) -> None:
    user.first_name = "new"
    user.save()

    assert rule.last() == {"first_name": ("Old", "New")}


def test_preparation_and_rules_read_a_row_once(preparation: Preparation, user: User, rule: Rule) -> None:
    user.email = "new@example.com"
    with CaptureQueriesContext(connection) as queries:
        user.save()

    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "UPDATE"]
    assert preparation.stored[-1] == {
        "email": "old@example.com",
        "first_name": "Old",
        "username": "somebody",
        "length": 8,
    }


def test_a_raw_save_is_not_prepared(preparation: Preparation) -> None:
    user = User.objects.create_user("somebody", first_name="Ann")
    text = serializers.serialize("json", [user]).replace("Ann", "ann")
    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert len(preparation.stored) == 1
    assert User.objects.get().first_name == "ann"


# Atomic saves -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", ["save", "delete"])
def test_a_receiver_of_an_atomic_model_runs_in_the_transaction_of_its_row(signal: str) -> None:
    seen: list[bool] = []

    def listener(using: str, **_: Any) -> None:
        seen.append(transaction.get_connection(using).in_atomic_block)

    sent = post_save if signal == "save" else models.signals.post_delete
    settlement = _settlement()
    settlement.save()
    sent.connect(listener, sender=Settlement)
    try:
        getattr(settlement, signal)()
    finally:
        sent.disconnect(listener, sender=Settlement)

    assert seen == [True]
