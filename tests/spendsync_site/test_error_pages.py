"""What the site answers instead of a page: a page with a way on, which asks nothing of the database."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest
from django.test import Client, RequestFactory

from spendsync_site import errors


def test_under_the_api_a_host_that_is_none_is_a_problem_document_that_says_so() -> None:
    answer = Client().get("/api/queues/", headers={"Host": "elsewhere.example"})

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert "Host names none of the hosts" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (400, "The request cannot be read"),
        (403, "Permission denied"),
        (404, "Page not found"),
        (500, "Something went wrong here"),
    ],
)
def test_an_error_has_a_page_of_its_own(status: int, title: str, rf: RequestFactory) -> None:
    request: HttpRequest = rf.get("/admin/nothing/")
    answer = {
        400: lambda: errors.bad_request(request, SuspiciousOperation()),
        403: lambda: errors.permission_denied(request, PermissionDenied()),
        404: lambda: errors.page_not_found(request, Http404()),
        500: lambda: errors.server_error(request),
    }[status]()
    text = answer.content.decode()
    assert answer.status_code == status
    assert f"<title>{title} | SpendSync</title>" in text
    assert '<html lang="en">' in text
    assert '<a href="/">' in text
