"""The schema names the code of each refusal; every test of one asks for that as well."""

from __future__ import annotations

import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.jobqueue.api.steps import Named, codes_of

KEY = "8c35b295-e77d-48c9-bb1f-8d5bec57f5c6"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("post", "/api/bulk/", "422", "nothing_matches"),
        ("post", "/api/causes/retry/", "422", "nothing_matches"),
        ("post", "/api/causes/discard/", "422", "nothing_matches"),
        ("get", "/api/jobs/", "400", "unreadable_search"),
        ("get", "/api/jobs/", "400", "invalid_query"),
        ("post", "/api/jobs/5/stop/", "409", "worker_gone"),
        ("get", "/api/queues/email", "404", "not_found"),
    ],
)
def test_a_code_is_named_where_it_is_answered(method: str, path: str, status: str, code: str) -> None:
    named = codes_of(method, path, status)
    assert named is not None
    assert code in named.of_all | named.in_errors


def test_a_code_of_another_action_is_not_named() -> None:
    named = codes_of("post", "/api/queues/email/pause/", "422")
    assert named is not None and "nothing_matches" not in named.of_all | named.in_errors


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (path, status, code)
        for path in (
            "/api/jobs/5/copy/",
            "/api/payments/",
            f"/api/payments/{KEY}/refund/",
            f"/api/settlements/{KEY}/send-reminder/",
        )
        for status, code in (("400", "invalid_idempotency_key"), ("422", "idempotency_key_reused"))
    ],
)
def test_what_is_wrong_with_a_key_is_the_code_of_all_and_of_the_header(
    path: str, status: str, code: str
) -> None:
    named = codes_of("post", path, status)
    assert named is not None and code in named.of_all & named.in_errors


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("post", "/api/queues/email/pause/", "422", "invalid_pause"),
        ("post", "/api/queues/email/pause/", "422", "no_object"),
        ("post", "/api/bulk/", "422", "naive"),
        ("post", "/api/causes/retry/", "422", "year"),
        ("get", "/api/causes/", "400", "no_time"),
        ("get", "/api/causes/concerned/", "400", "no_time"),
        ("get", "/api/bulk/plan/", "400", "failed_jobs_only"),
        ("get", "/api/jobs/", "400", "invalid_cursor"),
        ("get", "/api/simulation/", "400", "invalid_cursor"),
        ("get", "/api/queues/", "400", "unknown_parameter"),
        ("post", "/api/payments/", "422", "not_a_text"),
        ("post", "/api/payments/", "422", "max_whole_digits"),
    ],
)
def test_the_code_of_an_error_is_named_apart(method: str, path: str, status: str, code: str) -> None:
    named = codes_of(method, path, status)
    assert named is not None and code in named.in_errors - named.of_all


def test_what_a_form_allows_is_named_by_no_code() -> None:
    named = codes_of("post", "/api/queues/email/resume/", "422")
    assert named is not None
    assert not named.in_errors & {"blank", "required", "min_length", "overflow"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/payments/"),
        ("patch", "/api/queues/email/limits/"),
        ("patch", "/api/processors/email/limits/"),
        ("post", "/api/schedule/days/2026-11-28/move/"),
    ],
)
def test_what_is_refused_by_no_code_of_409_has_none(method: str, path: str) -> None:
    assert codes_of(method, path, "409") == Named(frozenset(), frozenset())


def test_every_refusal_names_its_codes() -> None:
    document = SchemaGenerator().get_schema(request=None, public=True)
    unnamed = [
        (method, path, status)
        for path, actions in document["paths"].items()
        for method, action in actions.items()
        for status, answer in action["responses"].items()
        if status >= "400" and "`code` is " not in answer["description"]
    ]
    assert not unnamed
