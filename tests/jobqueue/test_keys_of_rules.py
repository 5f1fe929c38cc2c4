"""The jobs of a rule: one for each rule and row, under a key that fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from jobqueue import rules
from jobqueue.models import Job
from tests.jobqueue.families import (
    TABLES,
    Letter,
    NearPlace,
    NearRestaurant,
    Place,
    Restaurant,
    _rule,
    says,
)
from tests.jobqueue.processors_for_tests import SUCCEED

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_rules_of_the_test")]


@pytest.fixture(scope="module", autouse=True)
def _tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The tables of the family, made once for all tests."""
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in TABLES:
            editor.create_model(model)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in reversed(TABLES):
            editor.delete_model(model)


def _payloads() -> list[dict[str, Any]]:
    return list(Job.objects.order_by("id").values_list("payload", flat=True))


def test_two_rules_for_one_processor_and_row_make_two_jobs() -> None:
    _rule(Place, payload=lambda place: {"step": "pack"})
    _rule(Place, payload=lambda place: {"step": "ship"})
    _rule(Place, payload=lambda place: {"step": "thank"}, delay=60)
    place = Place.objects.create()
    place.name = "new"
    place.save()

    assert _payloads() == [{"step": "pack"}, {"step": "ship"}, {"step": "thank"}]


def test_rules_made_in_a_loop_make_a_job_each() -> None:
    for step in ("pack", "ship"):
        _rule(Place, payload=lambda place, step=step: {"step": step})
    for step in ("thank", "ask"):
        _rule(Place, payload=says(step))
    Place.objects.create()

    assert _payloads() == [{"step": step} for step in ("pack", "ship", "thank", "ask")]


def test_a_rule_that_is_made_twice_makes_one_job() -> None:
    for _ in range(2):
        _rule(Place, payload=lambda place: {"step": "pack"})
        _rule(Place, payload=says("ship"), when=lambda place, change: change.created)
    Place.objects.create()

    assert _payloads() == [{"step": "pack"}, {"step": "ship"}]


def test_the_first_rules_key_is_the_processor_and_the_row() -> None:
    _rule(Place)
    _rule(Place, payload=lambda place: {"step": "ship"})
    _rule(Place, payload=lambda place: {"step": "thank"}, name="thanks")
    place = Place.objects.create()

    assert list(Job.objects.order_by("id").values_list("unique_key", flat=True)) == [
        f"{SUCCEED}:tests.place:{place.pk}",
        f"{SUCCEED}:tests.place:{place.pk}:2",
        f"{SUCCEED}:tests.place:{place.pk}:thanks",
    ]


def test_saves_of_one_row_through_different_classes_make_one_job_about_it() -> None:
    _rule(Place)
    restaurant = Restaurant.objects.create(name="old")
    for number, model in enumerate((Place, NearPlace, NearRestaurant)):
        place = model.objects.get(pk=restaurant.pk)
        place.name = str(number)
        place.save()
    [job] = Job.objects.all()

    assert job.subject == f"tests.place:{restaurant.pk}"
    assert job in Job.objects.about(Place.objects.get())


@pytest.mark.parametrize("key", ["x" * 300, "soft\xadhyphen", "line\nbreak", "ü" * 190])
def test_whatever_the_primary_key_is_the_key_of_the_job_fits(key: str) -> None:
    keys = {
        rules.EnqueueRule(model, SUCCEED, lambda *_: True, lambda _: {}, None)._key(model(pk=key))
        for model in (Letter, Place)
    }

    assert len(keys) == 2
    assert all(len(each) <= 200 and each.isprintable() for each in keys)
