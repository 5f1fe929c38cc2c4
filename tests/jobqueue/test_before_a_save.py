"""What is done before a save, and in its transaction."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db import connection, models, transaction
from django.db.models.functions import Length
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from jobqueue.rules import before_save, on_save
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


# Before a save --------------------------------------------------------------------------------------


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


# Atomic saves ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", ["save", "delete"])
def test_a_receiver_of_an_atomic_model_runs_in_the_transaction_of_its_row(signal: str) -> None:
    seen: list[bool] = []

    def listener(using: str, **_: Any) -> None:
        seen.append(transaction.get_connection(using).in_atomic_block)

    sent = post_save if signal == "save" else models.signals.post_delete
    settlement = made_settlement()
    settlement.save()
    sent.connect(listener, sender=Settlement)
    try:
        getattr(settlement, signal)()
    finally:
        sent.disconnect(listener, sender=Settlement)

    assert seen == [True]
