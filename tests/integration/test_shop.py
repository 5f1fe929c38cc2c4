"""The console in a project without settlements: another app, a shop, tells it all that an app can tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spendsync_site.demo.redis_server import RedisServer
from tests.projects import Project

pytestmark = [pytest.mark.one_database, pytest.mark.xdist_group("shop")]  # they share one walk

_ADDRESSES = """
    from django.contrib import admin
    from django.urls import include, path

    urlpatterns = [
        path("", include("jobqueue.api.urls")),
        path("api/", include("jobqueue.api.routes")),
        path("api/", include("jobqueue.api.documents")),
        path("admin/", admin.site.urls),
    ]
"""
# Forms that nobody may send; what leads on to where it is told; buttons, which are pressed.
_OTHERS = {
    403: re.compile(r"jobqueue_\w+_(add|delete)$"),
    302: re.compile(r"jobqueue_(auditentry|cause|failedjob|setasidejob|stuckjob)_change$"),
    404: re.compile(r"jobqueue_charts_(change|history)$"),
    405: re.compile(r"jobqueue_(bulkaction_start|bulkaction_stop|queue_pause|queue_resume|worker_order)$"),
}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> dict[str, Any]:
    """What a walk through the project found; one process for all tests."""
    folder: Path = tmp_path_factory.mktemp("shop")
    settings = f"""
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(folder / "db")!r}}}}}
        INSTALLED_APPS += ["drf_spectacular", "tests.integration.shop"]
        REST_FRAMEWORK = {{"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}}
        ROOT_URLCONF = "addresses"
        LOGGING_CONFIG = None
    """
    project = Project(folder / "site", redis_server, settings, addresses=_ADDRESSES)
    project.create_tables()
    printed = project.python("from tests.integration.shop.walk import main; main()")
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def test_every_page_of_the_console_is_shown(walked: dict[str, Any]) -> None:
    wrong = {
        name: status
        for name, status in walked["pages"].items()
        if status != 200 and not (status in _OTHERS and _OTHERS[status].fullmatch(name))
    }
    assert wrong == {}


def test_all_that_the_api_reads_is_answered(walked: dict[str, Any]) -> None:
    assert {url: told for url, (status, told) in walked["api"].items() if status != 200} == {}


def test_the_schema_is_openapi_3_1_without_a_setting_of_the_project(walked: dict[str, Any]) -> None:
    assert walked["schema"]["version"] == "3.1.0"


def test_the_schema_is_made_without_a_warning_and_without_a_setting_of_the_project(
    walked: dict[str, Any],
) -> None:
    assert walked["schema"]["warnings"] == []
    assert {"JobState", "BulkState", "WorkerState"} <= set(walked["schema"]["forms"])
    assert not [path for path in walked["schema"]["paths"] if "health" in path]


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        ("finding", "2 orders are not packed."),
        ("listed finding", "jobs of orders that are not packed"),
        ("source", "Orders of the shop"),
        ("address", "shop.pack"),
        ("subject", "Order of Grace Hopper"),
        ("kind", "Packing: big parcel"),
        ("preview", "Your order is packed"),
        ("result", "Parcel for Ada Lovelace"),
        ("concern", "About 1 person, 20.50 EUR"),
        ("audit", "shelf number 7"),
        ("name", "what Ada Lovelace ordered"),
        ("story", "<li>Pack owner shelf number 7</li>"),
        ("panel", "shop.invoice"),
    ],
)
def test_what_the_app_registers_is_told_on_the_pages(
    interface: str, words: str, walked: dict[str, Any]
) -> None:
    assert words in walked["texts"][interface]


def test_quiet_hours_of_the_app_stand_in_the_schedule(walked: dict[str, Any]) -> None:
    days = json.loads(walked["api"]["schedule/days/"][1])
    assert "T22:00:00Z" in json.dumps(days)


def test_a_plan_tells_the_e_mails_and_the_people_of_the_app(walked: dict[str, Any]) -> None:
    [plan] = [
        json.loads(told) for url, (_status, told) in walked["api"].items() if url.startswith("bulk/plan")
    ]
    assert "e-mail" in plan["mail"]
    assert plan["concerned"].endswith("EUR")


def test_the_app_refuses_a_move_in_its_own_words(walked: dict[str, Any]) -> None:
    status, told = walked["move"]
    assert status == 409
    assert "The shop packs within a week." in told


def test_a_migration_of_the_app_makes_its_group_of_operators(walked: dict[str, Any]) -> None:
    assert walked["installed"]


def test_nothing_of_settlements_is_loaded(walked: dict[str, Any]) -> None:
    assert "settlement" not in json.dumps(walked).lower()
