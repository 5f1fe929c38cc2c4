"""The thread that writes outcomes: what it makes of those that are written, taken away or refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from jobqueue.models import Job
from jobqueue.worker import performing, settling
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.settler import Settler
from tests.jobqueue.processors_for_tests import COUNTED, FAIL
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, TELLER, claimed

pytestmark = pytest.mark.django_db


class Noted:
    """What a settler said of its batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Outcome], list[Outcome]]] = []

    def __call__(self, outcomes: list[Outcome], counted: list[Outcome]) -> None:
        self.batches.append((outcomes, counted))

    @property
    def taken(self) -> list[Outcome]:
        """Those whose claims had been taken away."""
        return [each for outcomes, _counted in self.batches for each in outcomes if not each.is_settled]


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def settler(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> Settler:
    made = Settler(IDENTITY, TELLER, others_run=lambda: False, settled=noted, guard=lambda body: body)
    monkeypatch.setattr(made, "_pause", lambda _seconds: None)
    return made


def _performed(name: str = COUNTED) -> Outcome:
    return performing.perform(Claim(claimed(name), "default"))


def test_an_outcome_that_cannot_be_counted_was_not_taken_away(settler: Settler, noted: Noted) -> None:
    outcomes = [_performed(), _performed()]
    outcomes[0].job.payload = ["no object"]  # type: ignore[assignment]

    settler._settle_until_written(outcomes)

    assert noted.batches == [(outcomes, outcomes)]
    assert noted.taken == []


def test_what_was_written_before_the_database_failed_was_not_taken_away(
    settler: Settler, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [_performed(), _performed(FAIL)]
    settle_failure = settling._settle_failure

    def fail_once(*_: Any) -> bool:
        monkeypatch.setattr(settling, "_settle_failure", settle_failure)
        raise OperationalError("the database is away")

    monkeypatch.setattr(settling, "_settle_failure", fail_once)
    settler._settle_until_written(outcomes)

    assert [settled for settled, _counted in noted.batches] == [outcomes[:1], outcomes[1:]]
    assert noted.taken == []


def test_an_outcome_whose_claim_was_taken_away_is_told_apart(settler: Settler, noted: Noted) -> None:
    outcomes = [_performed(), _performed()]
    Job.objects.filter(pk=outcomes[0].job.pk).update(worker_id=OTHER_IDENTITY.id)

    settler._settle_until_written(outcomes)

    assert noted.taken == outcomes[:1]
