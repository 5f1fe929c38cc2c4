"""What the words of a search ask of the rows of jobs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import (
    BooleanField,
    Case,
    F,
    Func,
    Model,
    Q,
    QuerySet,
    TextField,
    UUIDField,
    Value,
    When,
)
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from jobqueue.models import Attempt, Job, Worker, title_of
from jobqueue.registry import all_processors
from jobqueue.searching.shown import begins_with, says, subject_begins_with
from jobqueue.sql.any_case import contains

NEWEST = 100_000
"""Rows among which is searched what no index answers: the newest ones."""
_MOST_NAMES = 2_000
"""Names of workers that are looked at: each that starts without a name makes up another."""


class ArgumentText(Func):
    """An argument of a payload as text: `5`, `true`, or the text itself; NULL where there is none."""

    output_field = TextField()

    def __init__(self, *path: str) -> None:
        super().__init__(F("payload"))
        self.path = path

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Taken out by the database's operator."""
        payload, parameters = compiler.compile(self.get_source_expressions()[0])
        return f"({payload} #>> %s::text[])", [*parameters, list(self.path)]

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """The same; a payload that is no JSON has no arguments, and true is not the number 1."""
        payload, parameters = compiler.compile(self.get_source_expressions()[0])
        assert not parameters
        path = "$" + "".join(f'."{name}"' for name in self.path)
        return (
            f"CASE WHEN typeof({payload}) = 'text' AND json_valid({payload}) THEN"
            f" CASE json_type({payload}, %s) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
            f" ELSE CAST(json_extract({payload}, %s) AS TEXT) END END",
            [path, path],
        )


def newest(rows: QuerySet[Any]) -> tuple[QuerySet[Any], bool]:
    """The newest of these rows by their numbers, and whether there are others."""
    last = list(rows.order_by("-pk").values_list("pk", flat=True)[NEWEST : NEWEST + 1])
    return (rows.filter(pk__gt=last[0]), True) if last else (rows, False)


def behind_newest(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The highest number of those rows that are not among the newest of these, if there is one."""
    return _one_behind(rows.order_by("-pk"))


def one_too_many(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The number of any row, if there are more of these than are looked at.

    That is asked first where an index has the rows, though not by their numbers: to put 100,000 in order
    takes 200 ms, to count them 20.
    """
    return _one_behind(rows.order_by())


def _one_behind(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.values(asked_number=F("pk"))[NEWEST : NEWEST + 1]


def has_argument(path: Sequence[str], value: str) -> Q:
    """Jobs whose payload has this value there."""
    return Q(Exact(ArgumentText(*path), Value(value)))


def has_address(address: str) -> Q:
    """Jobs whose payload is for this address."""
    return Q(Exact(Lower(ArgumentText("email")), Value(address.lower())))


def of_processor(text: str) -> Q:
    """Jobs of the processors whose names have this text in them, or of one that is called so."""
    return Q(processor__in=processors_named(text) or [text])


def processors_named(text: str) -> list[str]:
    """The registered processor of that name, else those whose names have the text in them."""
    names = [processor.name for processor in all_processors()]
    return [text] if text in names else [name for name in names if text.lower() in name.lower()]


def may_name_processor(text: str) -> bool:
    """Whether a text stands for processors: registered ones, or by its form one that was registered once."""
    return bool(processors_named(text)) or ("." in text and not any(map(str.isspace, text)))


_TITLE = re.compile(r"(?P<begin>[0-9a-fA-F]{8})(?P<executor>\.\d{1,4})", re.ASCII)
"""What pages call an executor of a worker without a name of its own: 24 digits between are left out."""


def held_by(text: str, using: str) -> Q:
    """Jobs that were claimed last by a worker whose name or host has this text in it, however many do."""
    named = contains("name", text) | contains("hostname", text)
    if title := _TITLE.fullmatch(text):
        named |= Q(name__istartswith=title["begin"], name__endswith=title["executor"])
    workers = Worker.objects.using(using).filter(named)
    return Q(worker_id__in=workers.values("pk"))


def statement_of_worker_names(using: str, *, name: int) -> str:
    """The statement that gives the names of the workers that made the newest attempts, one too many if so.

    Its rows are of three columns: this one, a number that says nothing, and the name.
    """
    value = f"CAST(worker_name AS {'BLOB' if connections[using].vendor == 'sqlite' else 'text'})"
    newest_ones = f"SELECT worker_name FROM {Attempt._meta.db_table} ORDER BY id DESC LIMIT {NEWEST}"
    return (
        f"SELECT {name:d}, CAST(0 AS bigint), name FROM (SELECT DISTINCT {value} AS name"
        f" FROM ({newest_ones}) AS newest LIMIT {_MOST_NAMES + 1}) AS names"
    )


def tried_by(text: str, names: list[str]) -> Q:
    """Attempts that a worker made whose name, of these, has this text in it.

    Few names are looked at in place of 100,000 rows, and the database knows then how many rows to expect: to
    look into each, and to expect next to none, took three times as long.
    """
    if len(names) > _MOST_NAMES:
        return contains("worker_name", text)
    wanted = text.upper()
    said = [one for one in names if wanted in one.upper() or wanted == title_of(one).upper()]
    return Q(worker_name__in=said)


def erred_with(text: str, *, may_read: bool) -> Q:
    """Attempts with this text in their error, as pages print it."""
    name, colon, message = text.partition(": ")
    found = contains("error_class", text) | says("message", text, may_read=may_read)
    if colon and message:
        found |= Q(error_class__iendswith=name) & begins_with("message", message, may_read=may_read)
    return found


def tried_again_with(text: str, *, may_read: bool) -> Q:
    """Jobs that are tried again with this text in their reason, which may say more than the attempt does."""
    is_open = Q(state__in=[Job.State.WAITING, Job.State.ACTIVE], attempt__gt=1, held_run_at__isnull=True)
    return is_open & says("reason", text, may_read=may_read)


def about_any(subjects: Iterable[str]) -> Q:
    """Jobs about one of these subjects."""
    # The second condition is the index's: SQLite uses the index only where it is repeated.
    return Q(subject__in=list(subjects)) & ~Q(subject="")


def about_text(text: str, *, is_subject: bool, may_read: bool) -> Q:
    """Jobs whose subject is this text or, if no job is about exactly that, begins with it."""
    if ":" not in text or is_subject:
        return about_any([text])
    return subject_begins_with(text, may_read=may_read)


def subjects_of_key(text: str) -> list[str]:
    """Every subject that a bare UUID may stand for."""
    try:
        key = uuid.UUID(text)
    except ValueError:
        return []
    keyed: list[type[Model]] = [model for model in apps.get_models() if isinstance(model._meta.pk, UUIDField)]
    return [f"{model._meta.label_lower}:{key}" for model in keyed]


def is_not(condition: Q) -> Case:
    """Rows of which this is not true: also those of which it is neither true nor false.

    A row without the value that is compared is such a one. NOT alone would leave it out, though the
    condition does not find it.
    """
    return Case(When(condition, then=Value(False)), default=Value(True), output_field=BooleanField())


def any_of(conditions: Iterable[Q]) -> Q:
    """Rows that meet one of these at the least; none if there are none."""
    return reduce(or_, conditions, Q(pk__in=[]))
