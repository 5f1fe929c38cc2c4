"""What a verb means for one job is not said of many."""

from __future__ import annotations

import pytest

from jobqueue.operating.verbs import BULK_VERBS


@pytest.mark.parametrize("name", BULK_VERBS)
def test_of_one_job_it_is_said_what_becomes_of_it(name: str) -> None:
    meant = BULK_VERBS[name].means(1)
    assert meant.split()[0] in ("It", "Its")
    assert "They" not in meant and "them" not in meant


@pytest.mark.parametrize("name", BULK_VERBS)
def test_of_many_jobs_it_is_said_what_becomes_of_them(name: str) -> None:
    assert BULK_VERBS[name].means(2).split()[0] in ("They", "Their", "Each")
