"""What works without Django REST Framework and prometheus-client, and what says that it needs them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator

import pytest
from django.apps import AppConfig, apps
from django.conf import LazySettings
from django.test import Client
from django.urls import clear_url_caches, include, path

from jobqueue.api import metrics_urls, plain_views, urls, views
from jobqueue.apps import JobQueueConfig
from jobqueue.exceptions import BrokerUnavailable, JobQueueError, MissingExtra

with_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])
PROBES = ("/health/queues", "/health/live", "/health/ready")


@pytest.fixture
def plain(settings: LazySettings) -> Iterator[Client]:
    """A site without Django REST Framework, which has the job queue's two lists of addresses."""
    installed = [app for app in settings.INSTALLED_APPS if app != "rest_framework"]
    settings.INSTALLED_APPS = installed
    module = type(sys)("plain_site_urls")
    module.urlpatterns = [  # type: ignore[attr-defined]
        path("", include(importlib.reload(urls))),
        path("", include(metrics_urls)),
    ]
    settings.ROOT_URLCONF = module
    clear_url_caches()
    yield Client()
    settings.INSTALLED_APPS = [*installed, "rest_framework"]
    importlib.reload(urls)


def test_a_project_with_rest_framework_is_answered_by_it() -> None:
    assert urls.urlpatterns[0].callback is views.queues_view


def test_a_project_without_it_is_answered_by_django(plain: Client) -> None:
    assert urls.urlpatterns[0].callback is plain_views.queues_view


@with_databases
@pytest.mark.parametrize("address", PROBES)
def test_both_answer_alike(client: Client, plain: Client, address: str, settings: LazySettings) -> None:
    with_framework = importlib.import_module("jobqueue.api.views")
    view = {"queues": "queues_view", "live": "live_view", "ready": "ready_view"}[address.rsplit("/")[-1]]
    by_framework = getattr(with_framework, view)(plain.get(address).wsgi_request).render()
    by_django = plain.get(address)

    assert by_django.status_code == by_framework.status_code == 200
    assert _without_time(by_django.content) == _without_time(by_framework.content)
    for header in ("Content-Type", "Cache-Control"):
        assert by_django[header] == by_framework[header]


def _without_time(content: bytes) -> dict[str, object]:
    return {name: value for name, value in json.loads(content).items() if name != "timestamp"}


@with_databases
def test_without_it_a_redis_that_is_away_is_503(plain: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise BrokerUnavailable("away")

    monkeypatch.setattr("jobqueue.broker.server.ping", away)
    monkeypatch.setattr("jobqueue.broker.counters.completed", away)

    answers = [plain.get(address).status_code for address in ("/health/queues", "/health/ready")]

    assert answers == [503, 503]


def test_without_it_probes_only_read(plain: Client) -> None:
    assert plain.head("/health/live").status_code == 200
    assert plain.post("/health/live").status_code == 405


@with_databases
@pytest.mark.parametrize("address", ["/metrics", "/metrics/"])
def test_the_page_of_metrics_needs_prometheus_client_alone(plain: Client, address: str) -> None:
    answer = plain.get(address)

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b'jobqueue_up{store="redis"} 1.0' in answer.content
    assert b"python_info" in answer.content, "what else is in the registry is shown too"


@with_databases
def test_with_several_processes_the_page_shows_what_all_of_them_wrote(
    plain: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    answer = plain.get("/metrics")

    assert b'jobqueue_up{store="redis"} 1.0' in answer.content
    assert b"python_info" not in answer.content, "each process has its own, so none is shown"


def _load_anew(module: str) -> None:
    """Load a module as a process does that has not loaded it yet, beside the one that is loaded."""
    spec = importlib.util.find_spec(module)
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("jobqueue.monitoring.metrics", "prometheus_client", "metrics"),
        ("jobqueue.api.views", "rest_framework", "api"),
    ],
)
def test_what_needs_an_extra_names_it(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, extra: str
) -> None:
    for loaded in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, loaded, None)

    with pytest.raises(MissingExtra, match=rf"not installed.*spendsync-job-queue\[{extra}\]") as caught:
        _load_anew(module)

    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, JobQueueError)


def test_the_app_starts_without_prometheus_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.apps.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "jobqueue.monitoring.metrics")
    config = apps.get_app_config("jobqueue")
    assert isinstance(config, AppConfig)

    JobQueueConfig.ready(config)  # type: ignore[arg-type]

    assert "jobqueue.monitoring.metrics" not in sys.modules
