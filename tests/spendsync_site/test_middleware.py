"""What strangers send makes no series of metrics of its own."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from prometheus_client import REGISTRY

pytestmark = pytest.mark.django_db(databases=["default", "other"])

PATHS = ["/health/live", "/admin/login/", "/nowhere/", "/settlements/x/"]


def _series() -> int:
    # Not those of the job queue: they belong to what other tests ran meanwhile.
    return sum(len(family.samples) for family in REGISTRY.collect() if family.name.startswith("django_http"))


@pytest.mark.parametrize("path", PATHS)
def test_invented_methods_make_no_more_series_than_one(client: Client, path: str) -> None:
    client.generic(f"A{uuid.uuid4().hex}", path)
    before = _series()
    for _ in range(20):
        client.generic(f"A{uuid.uuid4().hex}", path)

    assert _series() == before


def test_an_invented_method_is_counted_as_an_invalid_one(client: Client) -> None:
    client.generic("INVENTED", "/health/live")
    page = client.get("/metrics").content.decode()

    assert 'method="<invalid method>"' in page
    assert "INVENTED" not in page


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "invented.example"},
        {"content-type": "text/invented; charset=invented"},
        {"x-requested-with": "invented"},
        {"user-agent": "invented"},
        {"accept-language": "invented"},
    ],
)
def test_invented_headers_are_no_labels(client: Client, headers: dict[str, str]) -> None:
    client.get("/health/live", headers=headers)

    assert "invented" not in client.get("/metrics").content.decode().lower()


@pytest.mark.parametrize("path", ["/invented/", "/admin/invented/", "/admin/jobqueue/job/invented/change/"])
def test_invented_paths_are_no_labels(client: Client, path: str) -> None:
    client.get(path)

    assert "/invented" not in client.get("/metrics").content.decode()
