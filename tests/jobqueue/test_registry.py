"""What may be enqueued: registered processors, configured queues, payloads that survive JSON."""

from __future__ import annotations

import json
import types
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from hypothesis import given
from hypothesis import strategies as st

from jobqueue import payloads, registry
from jobqueue.exceptions import (
    DuplicateProcessor,
    InvalidPayload,
    PayloadTooLarge,
    UnknownProcessor,
    UnknownQueue,
)
from jobqueue.jobs import Skipped, TypeCounter, enqueue, processor
from jobqueue.models import Job
from tests.jobqueue import processors_for_tests as samples
from tests.jobqueue.processors_for_tests import SUCCEED, TAKES_A_NUMBER

LIMIT = 16 * 1024


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _of_size(size: int) -> dict[str, Any]:
    """A payload whose JSON has exactly this many bytes."""
    return {"text": "x" * (size - len(json.dumps({"text": ""})))}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Decimal("1.5"), id="Decimal"),
        pytest.param(datetime(2026, 1, 1, tzinfo=UTC), id="datetime"),
        pytest.param(date(2026, 1, 1), id="date"),
        pytest.param(timedelta(seconds=1), id="timedelta"),
        pytest.param(uuid.UUID(int=1), id="UUID"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param((1, 2), id="tuple"),
        pytest.param({1, 2}, id="set"),
        pytest.param(object(), id="object"),
        pytest.param(Job, id="class"),
        pytest.param(1j, id="complex"),
    ],
)
def test_a_value_that_json_does_not_carry_is_refused_and_named(value: Any) -> None:
    with pytest.raises(InvalidPayload, match=r"payload\.value\[0\].* is .*, which JSON does not carry"):
        payloads.check_payload({"value": [value]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(InvalidPayload, match="no valid JSON"):
        payloads.check_payload({"value": value})


def test_an_integer_too_long_for_text_is_refused() -> None:
    with pytest.raises(InvalidPayload, match="no valid JSON"):
        payloads.check_payload({"value": 10**5000})


def test_a_key_that_is_no_text_is_refused_and_named() -> None:
    with pytest.raises(InvalidPayload, match=r"payload\.value has the key 1; keys must be text"):
        payloads.check_payload({"value": {1: 2}})


@pytest.mark.parametrize("payload", [{"value": "a\x00b"}, {"value": {"a\x00b": 1}}])
def test_a_nul_character_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload, match="NUL"):
        payloads.check_payload(payload)


@pytest.mark.parametrize("payload", [{"value": "a\ud800b"}, {"value": {"\udfff": 1}}])
def test_a_lone_surrogate_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload, match="lone surrogate"):
        payloads.check_payload(payload)


def test_nesting_without_measure_is_refused() -> None:
    with pytest.raises(InvalidPayload, match="nested too deeply"):
        payloads.check_payload({"value": _nested(100_000)})


def test_a_payload_that_contains_itself_is_refused() -> None:
    payload: dict[str, Any] = {}
    payload["self"] = payload

    with pytest.raises(InvalidPayload, match="contains itself"):
        payloads.check_payload(payload)


def test_a_payload_of_ten_megabytes_is_refused_with_its_size_and_the_limit() -> None:
    with pytest.raises(PayloadTooLarge, match=r"has \d{8} bytes, allowed are 16384"):
        payloads.check_payload({"text": "x" * 10_000_000})


def test_a_payload_of_exactly_the_limit_is_taken() -> None:
    payload = _of_size(LIMIT)

    assert payloads.check_payload(payload) is payload


def test_a_payload_of_one_byte_more_than_the_limit_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        payloads.check_payload(_of_size(LIMIT + 1))


def test_the_size_counts_bytes_and_not_characters() -> None:
    with pytest.raises(PayloadTooLarge):
        payloads.check_payload({"text": "ü" * (LIMIT // 2)})


def test_the_limit_is_a_setting(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"PAYLOAD_LIMIT": 50}

    with pytest.raises(PayloadTooLarge, match="allowed are 50"):
        payloads.check_payload({"text": "x" * 50})


@pytest.mark.django_db
def test_a_payload_comes_back_from_the_database_unchanged() -> None:
    payload: dict[str, Any] = {
        "none": None,
        "yes": True,
        "list": [1, -2.5, "ä😀", {"": []}],
        "big": 2**60,
        "empty": {},
    }

    job = enqueue(SUCCEED, **payload)

    assert Job.objects.get(pk=job.pk).payload == payload


_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_plain)
def test_whatever_is_plain_json_is_taken(value: Any) -> None:
    payload = {"value": value}

    assert payloads.check_payload(payload) == json.loads(json.dumps(payload))


def test_an_unknown_processor_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(
        UnknownProcessor, match="no processor named 'sample.suceed'; did you mean 'sample.succeed'"
    ):
        enqueue("sample.suceed")


def test_a_processor_unlike_any_other_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownProcessor, match=r"registered are: .*sample\.succeed"):
        enqueue("zzz")


def _work_of(module: str) -> Callable[..., None]:
    def work(**payload: Any) -> None: ...

    copied = types.FunctionType(work.__code__, {"__name__": module}, "work")
    copied.__module__ = module
    copied.__qualname__ = "work"
    return copied


def test_two_functions_under_one_name_are_refused_and_both_are_named() -> None:
    with pytest.raises(DuplicateProcessor, match=r"'sample\.succeed'.*processors_for_tests\.succeed.*\.fail"):
        processor(SUCCEED, queue="email")(samples.fail)


def test_two_functions_of_the_same_name_in_two_modules_are_refused() -> None:
    processor("sample.double", queue="email")(_work_of("one.processors"))

    with pytest.raises(DuplicateProcessor, match=r"one\.processors\.work and two\.processors\.work"):
        processor("sample.double", queue="email")(_work_of("two.processors"))


def test_the_same_function_may_be_registered_again() -> None:
    again = processor(SUCCEED, queue="reminders")(samples.succeed)

    assert registry.get_processor(SUCCEED) is again


def test_a_forgotten_processor_is_unknown() -> None:
    registry.unregister(SUCCEED)

    with pytest.raises(UnknownProcessor):
        registry.get_processor(SUCCEED)


def test_all_processors_stand_in_the_order_of_their_names() -> None:
    names = [each.name for each in registry.all_processors()]

    assert names == sorted(names)
    assert {SUCCEED, "email.notification"} <= set(names)


@pytest.mark.django_db
def test_an_unknown_queue_is_refused_at_the_call_with_those_that_exist() -> None:
    processor("sample.nowhere", queue="letters")(samples.succeed)

    with pytest.raises(
        UnknownQueue, match="'letters' is not configured; RQ_QUEUES has: email, reminders, settlement"
    ):
        enqueue("sample.nowhere")


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ({}, "missing a required argument: 'number'"),
        ({"number": 1, "other": 2}, "unexpected keyword argument 'other'"),
    ],
)
def test_wrong_arguments_are_refused_at_the_call_with_what_the_processor_takes(
    payload: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidPayload, match=complaint) as caught:
        enqueue(TAKES_A_NUMBER, **payload)

    assert "(number:" in str(caught.value)


def test_a_processor_stays_callable() -> None:
    @processor("sample.doubling", queue="email")
    def work(word: str) -> Skipped:
        return Skipped(word * 2)

    assert work(word="no") == Skipped("nono")


def test_a_time_limit_may_be_a_timedelta() -> None:
    assert registry.get_processor(TAKES_A_NUMBER).time_limit == 7


def test_a_processor_without_a_time_limit_has_the_one_of_the_settings(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"TIMEOUT": 33}

    assert registry.get_processor(SUCCEED).time_limit == 33


def test_a_counter_takes_its_type_from_the_payload() -> None:
    assert TypeCounter("x_total", payload_key="kind").type_of({"kind": "initial"}) == "initial"


def test_a_counter_may_have_a_fixed_type() -> None:
    assert TypeCounter("x_total", value="all").type_of({"kind": "initial"}) == "all"


def test_a_type_that_a_counter_does_not_know_is_counted_as_other() -> None:
    counter = TypeCounter("known_total", payload_key="kind", known=("initial", "final"))

    assert [counter.label_of({"kind": kind}) for kind in ("initial", "invented", "")] == [
        "initial",
        "other",
        "other",
    ]


def test_a_counter_that_names_no_types_has_a_bounded_number_of_them() -> None:
    counter = TypeCounter(f"many_{uuid.uuid4().hex}_total", payload_key="kind")
    labels = {counter.label_of({"kind": f"kind {number}"}) for number in range(1_000)}

    assert len(labels) == 101
    assert "other" in labels
    assert counter.label_of({"kind": "kind 0"}) == "kind 0"


def test_a_type_that_is_too_long_for_a_label_is_counted_as_other() -> None:
    counter = TypeCounter(f"long_{uuid.uuid4().hex}_total", payload_key="kind")

    assert counter.label_of({"kind": "k" * 101}) == "other"
