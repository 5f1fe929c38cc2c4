"""The schema names the code of each refusal; every test of one asks for that as well."""

from __future__ import annotations

import pytest

from tests.jobqueue.api.steps import codes_of


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
    assert code in (codes_of(method, path, status) or ())


def test_a_code_of_another_action_is_not_named() -> None:
    assert "nothing_matches" not in (codes_of("post", "/api/queues/email/pause/", "422") or ())
