"""Arguments of every kind: refused inside the transaction, or the processor gets them back equal."""

from __future__ import annotations

import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from jobqueue.exceptions import InvalidJob
from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job
from tests.jobqueue.processors_for_tests import CALL, SUCCEED, Calls
from tests.jobqueue.steps import claim_row, list_of, run

pytestmark = pytest.mark.django_db(transaction=True)


class Colour(Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Status(models.TextChoices):
    PENDING = "pending"


def contains_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED: dict[str, Any] = {
    "Decimal": Decimal("19.99"),
    "datetime": datetime(2026, 1, 1, tzinfo=UTC),
    "date": date(2026, 1, 1),
    "time": time(12),
    "timedelta": timedelta(seconds=1),
    "UUID": uuid.UUID(int=1),
    "bytes": b"bytes",
    "bytearray": bytearray(b"bytes"),
    "tuple": (1, 2),
    "set": {1, 2},
    "complex": 1j,
    "object": object(),
    "function": len,
    "enum": Colour.RED,
    "lazy text": gettext_lazy("text"),
    "lazy function": lazystr("text"),
    "model": Group(name="group"),
    "query": Group.objects.none(),
    "NaN": float("nan"),
    "float from 1e16 on": 1e16,
    "huge float": [-1e23],
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "key that is a number": {1: 2},
    "key that is None": {None: 2},
    "key that is a tuple": {(1, 2): 3},
    "lone surrogate": "a\ud800b",
    "surrogates in a pair": "\ud83d\ude00",
    "lone surrogate in a key": {"\udfff": 1},
    "NUL": "a\x00b",
    "NUL in a key": {"a\x00": 1},
    "10 MB of text": "x" * 10_000_000,
    "1 MB of lists": [[]] * 300_000,
    "integer without end": 10**5000,
    "itself": contains_itself(),
}
ROUND_TRIPS: dict[str, Any] = {
    "None": None,
    "booleans": [True, False],
    "integers": [0, -1, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30],
    "floats": [0.1, -0.0, 1.0, 0.1 + 0.2, 1e-300, 5e-324, 1e15, 9999999999999998.0],
    "texts": [
        "",
        " ",
        "ä",
        "日本語",
        "😀",
        "\u2028",
        "\ufeff",
        "\uffff",
        "\x01\x1f\x7f\x85",
        "\\",
        '"',
        "'",
        "\r\n",
    ],
    "markup and formats": ["<script>", "{{ x }}", "%s %(a)s", "\x1b[31m", "; DROP TABLE", "null", "NaN"],
    "nested": {"a": [{"b": [[], {}, [{"c": None}]]}]},
    "keys": {"": 1, "ä": 2, "😀": 3, "a b": 4, "a.b": 5, "__class__": 6, "self": 7},
    "subclass of text": mark_safe("<b>"),
    "choice": Status.PENDING,
    "integer enum": Number.ONE,
    "ordered dict": OrderedDict(b=1, a=2),
    "default dict": defaultdict(int, a=1),
    "15 KB of text": "😀" * 3_800,
}
Enqueue = Callable[[Any], Any]
WAYS: dict[str, Enqueue] = {
    "enqueue": lambda value: enqueue(CALL, value=value),
    "delayed": lambda value: enqueue(CALL, delay=0.001, value=value),
    "with a key": lambda value: enqueue(CALL, unique_key="key", value=value),
    "many": lambda value: enqueue_many([(CALL, {"value": value})]),
    "many with options": lambda value: enqueue_many([NewJob(CALL, {"value": value}, unique_key="key")]),
    "deep inside": lambda value: enqueue(CALL, value=[{"deep": [value]}]),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_carried_is_refused_inside_the_transaction(
    value: Any, redis_client: redis.Redis
) -> None:
    with transaction.atomic():
        other = enqueue(SUCCEED)
        for way in WAYS.values():
            with pytest.raises(InvalidJob):
                way(value)

    assert list(Job.objects.values_list("pk", flat=True)) == [other.pk]
    assert list_of(redis_client) == [other.message_id]


@pytest.mark.parametrize("value", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())
def test_what_can_be_carried_reaches_the_processor_unchanged(value: Any, sample_processors: Calls) -> None:
    for way in WAYS.values():
        with transaction.atomic():
            way(value)
        [job] = Job.objects.waiting()
        # By the database: SQLite compares texts, and Django writes a millisecond with more digits.
        Job.objects.update(run_at=Now())
        run(claim_row(job))

    assert [payload["value"] for payload in sample_processors.payloads] == [
        [{"deep": [value]}] if name == "deep inside" else value for name in WAYS
    ]
