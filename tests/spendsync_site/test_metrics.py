"""The page of metrics where many processes share a folder, as prometheus-client documents it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.mark.parametrize("is_shared", [False, True])
def test_the_job_queues_metrics_are_shown_by_one_process_and_by_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    if is_shared:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    page = Client().get("/metrics", secure=True).content.decode()
    assert 'jobqueue_up{store="redis"} 1.0' in page
    assert 'jobqueue_jobs{queue="email",state="waiting"} 0.0' in page
