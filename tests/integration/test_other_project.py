"""`pip install .` into an empty project, by the steps of README: jobs run there, with and without extras."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import wait_until
from tests.integration.guide import Code, read_guide
from tests.integration.other_project import OtherProject, build_wheel
from tests.servers import ROOT

# pip needs its index, and some seconds: these run where they are asked for.
pytestmark = pytest.mark.package
START = 60.0
STATES = 'from jobqueue.models import Job; print(*Job.objects.values_list("processor", "state"))'
GREETED = "('greeting.send', 'completed')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def other_project(
    tmp_path: Path, wheel: Path, private_redis: Callable[..., RedisServer]
) -> Iterator[OtherProject]:
    """A project that does not know the job queue yet."""
    project = OtherProject(tmp_path, wheel, private_redis().port)
    yield project
    project.end()


def test_the_wheel_holds_every_file_of_the_app_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if ".dist-info/" not in name}

    files = {path for path in (ROOT / "jobqueue").rglob("*") if path.is_file()}
    ours = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert installed == ours
    kinds = {Path(name).suffix for name in installed}
    assert kinds >= {".css", ".html", ".js", ".lua", ".mo", ".py", ".typed"}


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (
            archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")
        )

    needed = [line for line in metadata.splitlines() if line.startswith(("Requires-Dist", "Provides-Extra"))]
    assert needed == [
        "Requires-Dist: asgiref<4,>=3.8.1",
        "Requires-Dist: django-rq<5,>=4.2",
        "Requires-Dist: django<7,>=5.2",
        "Requires-Dist: redis[hiredis]<9,>=8",
        "Requires-Dist: rq<4,>=3.0",
        "Provides-Extra: api",
        "Requires-Dist: djangorestframework>=3.16; extra == 'api'",
        "Requires-Dist: drf-spectacular>=0.29; extra == 'api'",
        "Provides-Extra: metrics",
        "Requires-Dist: prometheus-client>=0.21; extra == 'metrics'",
        "Provides-Extra: postgresql",
        "Requires-Dist: psycopg[binary]>=3.2; extra == 'postgresql'",
    ]


def _follow(project: OtherProject, guide: list[Code], *, metrics: bool) -> None:
    project.begin(metrics=metrics)
    for code in guide:
        project.follow(code)
    wait_until(lambda: "Hello, Ada!" in project.printed, timeout=START)
    wait_until(lambda: GREETED in project.run("python", "manage.py", "shell", "-c", STATES), timeout=START)


@contextmanager
def _served(project: OtherProject) -> Iterator[None]:
    project.serve()
    wait_until(lambda: "Quit the server" in project.printed, timeout=START)
    yield


def test_the_guide_leads_to_a_job_that_ran_and_pages_that_say_so(other_project: OtherProject) -> None:
    _follow(other_project, read_guide(), metrics=True)

    other_project.run(
        *("python", "manage.py", "createsuperuser", "--noinput", "--username", "owner", "--email", ""),
        DJANGO_SUPERUSER_PASSWORD="the owner's",
    )
    with _served(other_project):
        look = other_project.visitor
        health = json.loads(look.get("/health/queues"))
        assert health["status"] == "UP"
        assert health["queues"]["default"]["completed"] == 1
        assert 'job_processing_total{queue="default",status="completed"} 1.0' in look.get("/metrics")
        look.log_in("owner", "the owner's")
        assert "greeting.send" in look.get("/admin/jobqueue/job/")
        assert "jobqueue/admin.css" in look.get("/admin/jobqueue/job/")
        assert "{" in look.get("/static/jobqueue/admin.css")


def test_without_the_extras_jobs_run_and_health_answers_too(other_project: OtherProject) -> None:
    _follow(other_project, read_guide(), metrics=False)

    with _served(other_project):
        assert json.loads(other_project.visitor.get("/health/ready")) == {"status": "UP"}
        assert "Log in" in other_project.visitor.get("/admin/login/")
    for absent, extra in (("jobqueue.api.metrics_urls", "metrics"), ("jobqueue.api.views", "api")):
        with pytest.raises(AssertionError, match=rf"pip install 'spendsync-job-queue\[{extra}\]'"):
            other_project.run("python", "manage.py", "shell", "-c", f"import {absent}")


def test_the_guide_names_every_file_that_it_changes() -> None:
    guide = read_guide()

    assert [code.file for code in guide if code.file] == ["settings.py", "urls.py", "shop/processors.py"]
    assert [code.lines[0].split()[0] for code in guide if code.language == "sh"] == ["pip", "python"]
