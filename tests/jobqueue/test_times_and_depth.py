"""Times and payloads at their ends: refused at the call, or carried by rows and shown on every page."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobqueue.exceptions import InvalidJob, InvalidPayload, InvalidRunAt, UnknownDatabase, UnknownProcessor
from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job
from jobqueue.payloads import DEEPEST, check_payload
from jobqueue.sql.clock import database_now
from jobqueue.values import shown
from tests.examples import examples
from tests.jobqueue.processors_for_tests import CALL, SUCCEED, Calls
from tests.jobqueue.steps import claim_row, run

pytestmark = pytest.mark.django_db

LAST = datetime(8999, 12, 31, 23, 59, 59, tzinfo=UTC)
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
WAYS: dict[str, Callable[[datetime], Any]] = {
    "enqueue": lambda moment: enqueue(SUCCEED, run_at=moment),
    "with a key": lambda moment: enqueue(SUCCEED, run_at=moment, unique_key="key"),
    "many": lambda moment: enqueue_many([(SUCCEED, {})], run_at=moment),
    "many with options": lambda moment: enqueue_many([NewJob(SUCCEED, {}, run_at=moment)]),
}
TOO_LATE = {
    "last of all": datetime.max.replace(tzinfo=UTC),
    "last of all, in the east": datetime.max.replace(tzinfo=EAST),
    "last of all, in the west": datetime.max.replace(tzinfo=WEST),
    "year 9000": LAST + timedelta(seconds=1),
    "year 9000, where it has not come yet": (LAST + timedelta(seconds=1)).astimezone(WEST),
}


def _nested(depth: int, kind: str) -> Any:
    """A value in so many lists, dicts, or both by turns."""
    value: Any = 1
    for level in range(depth):
        is_list = kind == "lists" or (kind == "both" and level % 2)
        value = [value] if is_list else {"inside": value}
    return value


# Times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", TOO_LATE.values(), ids=TOO_LATE.keys())
def test_a_time_that_no_page_can_show_is_refused_in_a_transaction_that_goes_on(moment: datetime) -> None:
    with transaction.atomic():
        for way in WAYS.values():
            with pytest.raises(InvalidRunAt, match="it must lie before the year 9000"):
                way(moment)
        job = enqueue(SUCCEED)

    assert list(Job.objects.all()) == [job]


@pytest.mark.parametrize(
    "delay",
    [
        10**12,
        1e12,
        10**400,
        -(10**400),
        math.inf,
        -math.inf,
        math.nan,
        timedelta.max,
        7_000 * 365.25 * 86_400,
    ],
    ids=str,
)
def test_a_delay_to_no_usable_time_is_refused_in_a_transaction_that_goes_on(delay: Any) -> None:
    with transaction.atomic():
        for key in (None, "key"):
            with pytest.raises(
                InvalidRunAt,
                match="is no usable length of time: it must be finite, and end before the year 9000",
            ):
                enqueue(SUCCEED, delay=delay, unique_key=key)
        job = enqueue(SUCCEED)

    assert list(Job.objects.all()) == [job]


@pytest.mark.parametrize(
    "moment", [LAST, LAST.astimezone(EAST), LAST.astimezone(WEST), datetime(2300, 1, 1, tzinfo=UTC)]
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_last_times_that_are_taken_are_shown_on_every_page(
    settings: LazySettings, admin_client: Client, moment: datetime, zone: str
) -> None:
    settings.TIME_ZONE = zone
    job = enqueue(SUCCEED, run_at=moment)
    job.refresh_from_db()

    assert job.run_at == moment
    for page in ("/admin/jobqueue/job/", f"/admin/jobqueue/job/{job.pk}/change/"):
        assert admin_client.get(page).status_code == 200


@pytest.mark.parametrize(
    "when",
    [
        {"run_at": datetime.min.replace(tzinfo=UTC)},
        {"run_at": datetime.min.replace(tzinfo=EAST)},
        {"run_at": datetime.min.replace(tzinfo=WEST)},
        {"run_at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"delay": 0},
        {"delay": -5},
        {"delay": -1e12},
        {"delay": timedelta.min},
        {"delay": 1e-9},
    ],
    ids=str,
)
def test_a_past_time_means_now(when: dict[str, Any]) -> None:
    job = Job.objects.get(pk=enqueue(SUCCEED, **when).pk)

    assert job.published_at is not None
    assert job.run_at <= database_now("default")


@hypothesis_settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.datetimes(timezones=st.timezones() | st.just(UTC) | st.just(EAST) | st.just(WEST)),
        st.datetimes(),
        st.timedeltas(),
        st.floats(),
        st.integers(),
        st.text(),
    )
)
def test_any_time_is_refused_with_the_named_error_or_read_back(value: Any) -> None:
    when = {"run_at": value} if isinstance(value, datetime | str) else {"delay": value}
    try:
        job = enqueue(SUCCEED, **when)
    except InvalidRunAt:
        return
    assert Job.objects.get(pk=job.pk).run_at.year < 9000


# Depth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lists", "dicts", "both"])
@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1, 940, 5_000, 100_000])
def test_what_is_deeper_than_64_levels_is_refused_in_a_transaction_that_goes_on(
    depth: int, kind: str
) -> None:
    value = _nested(depth, kind)
    with transaction.atomic():
        with pytest.raises(InvalidPayload, match="nested too deeply.*allowed are 64 levels"):
            enqueue(CALL, value=value)
        with pytest.raises(InvalidPayload, match="nested too deeply"):
            enqueue_many([(CALL, {"value": value})])
        job = enqueue(SUCCEED)

    assert list(Job.objects.all()) == [job]


@pytest.mark.parametrize("kind", ["lists", "dicts", "both"])
def test_64_levels_are_carried_and_shown(admin_client: Client, sample_processors: Calls, kind: str) -> None:
    payload = {"value": _nested(DEEPEST - 1, kind)}
    job = enqueue(CALL, **payload)
    for page in ("/admin/jobqueue/job/", f"/admin/jobqueue/job/{job.pk}/change/"):
        assert admin_client.get(page).status_code == 200
    run(claim_row(job))

    assert sample_processors.payloads == [payload]


@given(st.integers(1, 200), st.sampled_from(["lists", "dicts", "both"]))
def test_the_depth_alone_decides(depth: int, kind: str) -> None:
    payload = {"value": _nested(depth, kind)}
    if depth + 1 > DEEPEST:
        with pytest.raises(InvalidPayload, match="nested too deeply"):
            check_payload(payload)
    else:
        assert check_payload(payload) is payload


def test_an_error_deep_inside_says_where() -> None:
    with pytest.raises(InvalidPayload, match=r"^payload\.orders\[1\]\.lines\[0\]\.price is .*complex"):
        check_payload({"orders": [1, {"lines": [{"price": 1j}]}]})


# Everything else that may be passed ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [None, 5, [], {}, "", b"sample.succeed", 10**5000, ["sample.succeed"]],
    ids=lambda value: str(type(value)),
)
def test_a_processor_by_no_name_is_unknown(name: Any) -> None:
    with pytest.raises(UnknownProcessor, match="no processor named"):
        enqueue(name)


@pytest.mark.parametrize("using", ["nowhere", 5, ["default"], b"default"])
def test_a_database_that_is_not_there_is_refused_with_those_that_are(using: Any) -> None:
    with pytest.raises(UnknownDatabase, match="is no database; DATABASES has: default, other"):
        enqueue(SUCCEED, using=using)
    with pytest.raises(UnknownDatabase):
        enqueue_many([(SUCCEED, {})], using=using)


@pytest.mark.parametrize("job", ["ab", (SUCCEED,), (SUCCEED, {}, None), None, 5, [SUCCEED, {}]])
def test_what_is_no_job_is_refused_before_any_is_written(job: Any) -> None:
    with pytest.raises(InvalidJob, match="must be a pair .processor, payload. or a NewJob"):
        enqueue_many([(SUCCEED, {}), job])

    assert not Job.objects.exists()


@pytest.mark.parametrize("payload", [None, [], "ab", 5, [("number", 1)]])
def test_a_payload_that_is_no_dict_is_refused(payload: Any) -> None:
    for job in ((SUCCEED, payload), NewJob(SUCCEED, payload)):
        with pytest.raises(InvalidPayload, match="the payload must be a dict"):
            enqueue_many([job])


@pytest.mark.parametrize("text", [10**5000, float("nan"), b"key", ["key"], True], ids=shown)
@pytest.mark.parametrize("name", ["unique_key", "subject"])
def test_a_key_that_is_no_text_is_refused_whatever_it_is(name: str, text: Any) -> None:
    with pytest.raises(InvalidJob, match=f"{name} must be printable text"):
        enqueue(SUCCEED, **{name: text})
