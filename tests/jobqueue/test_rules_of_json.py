"""Rules that watch JSON, which is stored in another form than the instance may hold it."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.db.models import Value
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils.translation import gettext_lazy

from jobqueue import rules
from jobqueue.rules import Change, on_save

pytestmark = pytest.mark.django_db

with isolate_apps("tests"):

    class Note(models.Model):
        about = models.JSONField(null=True, encoder=DjangoJSONEncoder)
        name = models.CharField(max_length=100, default="")

        class Meta:
            app_label = "tests"


class Colour(str, Enum):  # noqa: UP042 - one that is no StrEnum, as older code has it
    RED = "red"


class Size(IntEnum):
    LARGE = 3


class Names(dict[str, Any]):
    """A kind of dict."""


FORMS = [
    (1, 2),
    {"a": (1, (2, 3))},
    {1: "one", 2: "two"},
    {"a": {None: 1, True: 2}},
    Colour.RED,
    {"colour": Colour.RED},
    {Colour.RED: 1},
    Size.LARGE,
    gettext_lazy("Yes"),
    {"answer": gettext_lazy("Yes")},
    Decimal("1.10"),
    [uuid.UUID(int=7)],
    OrderedDict(a=(1,)),
    Names(a=[(1,)]),
    1e23,
    {"far": [1e300]},
    Value({"a": 1}, models.JSONField()),
]


@pytest.fixture(scope="module", autouse=True)
def _table(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.create_model(Note)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.delete_model(Note)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Change]]:
    """What a rule for the JSON of notes was told; no other rule listens."""
    monkeypatch.setattr(rules, "_watchers", {})
    for signal in (pre_save, post_save):
        monkeypatch.setattr(signal, "receivers", [])
        signal.sender_receivers_cache.clear()
    changes: list[Change] = []

    def rule(_instance: Any, change: Change) -> None:
        changes.append(change)

    on_save(Note, rule, fields=["about"])
    yield changes
    for signal in (pre_save, post_save):
        signal.sender_receivers_cache.clear()


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_what_json_gives_back_in_another_form_counts_as_changed_once(heard: list[Change], form: Any) -> None:
    note = Note.objects.create()
    heard.clear()
    for _ in range(3):
        note.about = form
        note.save()

    assert len(heard) == 1


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_it_is_told_as_the_database_gives_it_back(heard: list[Change], form: Any) -> None:
    note = Note.objects.create(about=form)

    assert heard[-1].fields == {"about": (None, Note.objects.get(pk=note.pk).about)}


def test_a_change_inside_is_told(heard: list[Change]) -> None:
    note = Note.objects.create(about={"a": (1, 2)})
    heard.clear()
    note.about = {"a": (1, 3)}
    note.save()

    assert heard[0].fields == {"about": ({"a": [1, 2]}, {"a": [1, 3]})}


@pytest.mark.parametrize("form", [None, 5, 0.5, "text", ["a", {"b": [None, True]}], {"a": {}}])
def test_what_comes_back_as_it_is_costs_no_statement_more(heard: list[Change], form: Any) -> None:
    note = Note.objects.create(about=form)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        note.save()

    statements = [query["sql"].split()[0] for query in captured if "SAVEPOINT" not in query["sql"]]
    assert statements == ["SELECT", "UPDATE"]
