"""What `check` says of rules that could not fire, or whose jobs could not be enqueued."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage
from django.db import connection
from django.db.models.signals import class_prepared
from pytest_django import DjangoDbBlocker

from jobqueue import rule_checks, rules
from jobqueue.exceptions import InvalidPayload, InvalidRule
from jobqueue.jobs import processor
from jobqueue.rules import Change, enqueue_on_save, on_save
from tests.jobqueue.families import (
    TABLES,
    Document,
    Draft,
    Heard,
    Invoice,
    Letter,
    Model,
    NearPlace,
    Person,
    Place,
    Plain,
    Restaurant,
    _heard,
    _rule,
    says,
)
from tests.jobqueue.processors_for_tests import COUNTED, SUCCEED, TAKES_A_NUMBER

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


def _found() -> list[CheckMessage]:
    return rule_checks.check_rules(None)


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("nmae", "Place has no field 'nmae'; it has: .*name"),
        ("pk", "'pk' is an attribute of Place, no field of it"),
        ("title", "'title' is an attribute of Place, no field of it: watch the fields that it reads"),
        ("letters", "'letters' is a many-to-many field.*m2m_changed of Place.letters.through"),
        ("anything", "'anything' is not stored in a column of Place: watch 'kind', 'key'"),
        ("before", "'before' is the other side of a relation: make the rule for Place"),
        ("restaurant", "'restaurant' is the other side of a relation: make the rule for Restaurant"),
        (5, "5 is no name of a field"),
    ],
)
def test_what_cannot_be_watched_is_an_error_and_refuses_saves(field: Any, why: str) -> None:
    on_save(Place, Heard(), fields=["name", field])
    [message] = _found()

    assert message.id == "jobqueue.E030"
    assert message.msg.startswith("the rule for tests.Place that calls tests.jobqueue.families.Heard: ")
    with pytest.raises(InvalidRule, match=f"a rule for tests.Place cannot fire: {why}"):
        Place.objects.create()
    assert not Place.objects.exists()


def test_the_other_side_of_a_many_to_many_relation_is_an_error() -> None:
    _heard(Letter, "places")

    assert [message.id for message in _found()] == ["jobqueue.E030"]


@pytest.mark.parametrize("field", ["next", "next_id", "kind", "loud", "name"])
def test_every_column_can_be_watched(field: str) -> None:
    _heard(Place, field)

    assert _found() == []


def test_a_rule_of_an_abstract_model_is_checked_where_it_has_rows() -> None:
    _heard(Document, "txet")

    assert [message.msg.split(":")[0] for message in _found()] == [
        "the rule for tests.Letter that calls tests.jobqueue.families.Heard",
        "the rule for tests.Invoice that calls tests.jobqueue.families.Heard",
    ]


@pytest.mark.parametrize("fields", ["name", "status"])
def test_fields_given_as_one_text_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidRule, match=f"must be a list of names, not the text '{fields}'"):
        on_save(Place, Heard(), fields=fields)


@pytest.mark.parametrize("fields", [None, 5, [["name"]]])
def test_fields_that_are_no_list_of_names_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidRule, match="must be a list of names, not "):
        on_save(Place, Heard(), fields=fields)


@pytest.mark.parametrize("model", ["tests.Place", None, Heard, Place(name="one")])
def test_a_rule_for_what_is_no_model_is_refused(model: Any) -> None:
    with pytest.raises(InvalidRule, match="a rule is for a model"):
        enqueue_on_save(model, SUCCEED, fields=["name"])


def test_a_processor_that_is_not_there_is_an_error_with_the_one_that_was_meant() -> None:
    _rule(Place, processor="sample.suceed")
    [message] = _found()

    assert message.id == "jobqueue.E031"
    assert "no processor named 'sample.suceed'; did you mean 'sample.succeed'?" in message.msg


def test_a_rule_on_what_no_model_inherits_from_is_an_error() -> None:
    on_save(Draft, Heard(), fields=[])
    [message] = _found()

    assert message.id == "jobqueue.E036"
    assert "no model inherits from it" in message.msg


def test_a_rule_on_a_model_that_another_one_stands_for_is_an_error(settings: LazySettings) -> None:
    _rule(Person)
    assert _found() == []
    settings.TESTS_PERSON_MODEL = "tests.Place"
    [message] = _found()

    assert message.id == "jobqueue.E036"
    assert "tests.Place stands in its place (TESTS_PERSON_MODEL)" in message.msg


class _PlacesElsewhere:
    """Keeps places in a database without jobs."""

    def db_for_write(self, model: Model, **_: Any) -> str | None:
        return "other" if model is Place else None

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        return db != "other" if app_label == "jobqueue" else None


def test_a_rule_on_what_is_kept_where_no_jobs_are_is_an_error(settings: LazySettings) -> None:
    settings.DATABASE_ROUTERS = [_PlacesElsewhere()]
    on_save(Place, Heard(), fields=[])
    assert _found() == []
    _rule(Place)
    [message] = _found()

    assert message.id == "jobqueue.E037"
    assert "tests.Place has rules that enqueue: it is written to the database 'other'" in message.msg


@pytest.mark.parametrize("model", [Plain, ContentType])
def test_a_model_whose_saves_are_not_atomic_is_an_error(model: Model) -> None:
    on_save(model, Heard(), fields=[])
    enqueue_on_save(model, SUCCEED, fields=[])
    [message] = _found()

    assert message.id == "jobqueue.E032"
    assert message.msg.startswith(f"{model._meta.label} has rules")
    assert message.hint is not None
    assert message.hint.startswith("Have the model inherit from jobqueue.models.AtomicSaveMixin.")


async def coroutine(instance: Any, change: Change) -> None:
    """Would never run."""


def generator(instance: Any, change: Change) -> Iterator[None]:
    """Would never run."""
    yield


@pytest.mark.parametrize(
    "function", [None, "rule", coroutine, generator, lambda instance: None, lambda: None]
)
def test_a_function_that_would_not_run_is_an_error(function: Any) -> None:
    on_save(Place, function, fields=["name"])
    _rule(Place, when=function)

    assert [message.id for message in _found()] == ["jobqueue.E033"] * 2


@pytest.mark.parametrize("payload", [None, {"pk": 1}, "pk", lambda place, change: {}, coroutine])
def test_a_payload_that_cannot_be_made_is_an_error(payload: Any) -> None:
    _rule(Place, payload=payload)

    assert [message.id for message in _found()] == ["jobqueue.E033"]


@pytest.mark.parametrize(
    ("model", "taking", "payload", "why"),
    [
        (Place, SUCCEED, lambda place: {"a": place.nmae}, "reads 'nmae', which Place does not have"),
        (Restaurant, SUCCEED, lambda place: {"a": place.chef.pk}, "reads 'chef', which Restaurant does not"),
        (Place, SUCCEED, lambda place: [place.pk], "must be a dict, not"),
        (
            Invoice,
            SUCCEED,
            lambda invoice: {"a": invoice.pk},
            "payload.a is uuid.UUID, which JSON does not carry",
        ),
        (
            Place,
            TAKES_A_NUMBER,
            lambda place: {"pk": place.pk},
            "has 'pk', which the processor does not take; it",
        ),
    ],
)
def test_a_payload_that_names_what_is_not_there_is_an_error(
    model: Model, taking: str, payload: Any, why: str
) -> None:
    _rule(model, processor=taking, payload=payload, fields=())
    [message] = _found()

    assert message.id == "jobqueue.E034"
    assert why in message.msg


@pytest.mark.parametrize("name", ["run_at", "delay", "unique_key", "subject", "using", "processor"])
def test_a_payload_with_a_name_that_enqueue_takes_is_an_error_and_refuses_the_save(name: str) -> None:
    _rule(Place, payload=lambda place: {"pk": 1, name: None})
    [message] = _found()

    assert message.id == "jobqueue.E034"
    assert f"its payload has '{name}', which enqueue() takes for itself" in message.msg
    with pytest.raises(InvalidPayload, match=f"has '{name}', which enqueue"):
        Place.objects.create()


def test_a_payload_that_lacks_what_the_processor_takes_is_a_warning() -> None:
    _rule(Place, processor=TAKES_A_NUMBER, payload=lambda place: {})

    assert [message.id for message in _found()] == ["jobqueue.W034"]


@pytest.mark.parametrize(
    "payload",
    [
        lambda place: {"number": place.next.visits},
        lambda place: {"number": place.letters.count()},
        lambda place: {"number": len(Place.objects.all())},
        lambda place: {"number": place.visits},
        lambda place: {"number": 1 / place.visits},
    ],
)
def test_a_payload_that_needs_values_or_rows_passes(payload: Any) -> None:
    _rule(Place, processor=TAKES_A_NUMBER, payload=payload)

    assert _found() == []


@pytest.mark.parametrize(
    "options",
    [
        {"delay": float("nan")},
        {"delay": "soon"},
        {"delay": True},
        {"delay": float("inf")},
        {"delay": timedelta(days=3_000_000)},
        {"delay": 10**12},
        {"delay": timedelta.max},
        {"delay": -1},
        {"delay": timedelta(minutes=-5)},
        {"name": 5},
    ],
)
def test_options_that_make_no_sense_are_an_error(options: Any) -> None:
    _rule(Place, **options)

    assert [message.id for message in _found()] == ["jobqueue.E035"]


@pytest.mark.parametrize("names", [("thanks", "thanks"), ("2", "")])
def test_rules_whose_jobs_would_be_one_are_an_error(names: tuple[str, str]) -> None:
    for step, name in zip(("pack", "ship"), names, strict=True):
        _rule(Place, payload=says(step), name=name)

    assert {message.id for message in _found()} == {"jobqueue.E035"}


def test_rules_for_two_processors_may_have_one_name() -> None:
    for name in (SUCCEED, COUNTED):
        _rule(Place, processor=name, name="thanks")

    assert _found() == []


def test_what_is_done_before_a_save_is_checked_too() -> None:
    rules.before_save(Place, lambda place, stored, using: None, columns=["name", "nmae"])
    rules.before_save(Place, lambda place: None, columns=[])

    assert [message.id for message in _found()] == ["jobqueue.E030", "jobqueue.E033"]


def test_a_good_rule_of_every_kind_passes() -> None:
    _heard(Document, "text")
    _heard(NearPlace, "name")
    _rule(Restaurant, fields=("name", "stars"), when=lambda place, change: "stars" in change, delay=5)
    processor("sample.with_default", queue="email")(lambda pk, loud=False: None)
    _rule(Place, processor="sample.with_default")

    assert _found() == []


def test_models_that_are_defined_are_met_once() -> None:
    uids = [key for key, *_ in class_prepared.receivers if key[0] == "jobqueue.rules"]

    assert len(uids) == 1
