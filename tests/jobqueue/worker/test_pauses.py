"""While a server is away the tries get rarer, and frequent again when it is back."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError

from jobqueue.worker import settler as settler_module
from jobqueue.worker import settling
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from jobqueue.worker.pauses import GrowingPauses
from jobqueue.worker.settler import Settler
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, TELLER, claimed


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    pauses = GrowingPauses(0.5, 4.0)
    assert [pauses.after_failure() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]

    pauses.reset()

    assert pauses.after_failure() == 0.5


def _settler() -> tuple[Settler, threading.Event]:
    settled = threading.Event()
    made = Settler(
        IDENTITY,
        TELLER,
        others_run=lambda: False,
        settled=lambda *_: settled.set(),
        guard=lambda body: body,
    )
    return made, settled


@pytest.mark.django_db
def test_outcomes_that_cannot_be_written_are_tried_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    made, settled = _settler()
    write = settling.settle_and_tell

    def be_away_for_a_while(*arguments: Any) -> Any:
        if len(pauses) < 5:
            raise OperationalError("it is away")
        return write(*arguments)

    monkeypatch.setattr(settling, "settle_and_tell", be_away_for_a_while)
    monkeypatch.setattr(made, "_pause", pauses.append)

    made._settle_until_written([Outcome(claimed(SUCCEED), "default", OutcomeStatus.COMPLETED, 0.1)])

    assert settled.is_set()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 4.0]


def test_a_stop_does_not_wait_for_the_end_of_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settler_module, "_LAST_PAUSES", 0.0)
    made, _settled = _settler()
    paused = threading.Thread(target=made._pause, args=(60,))
    paused.start()

    made._ends.set()

    paused.join(5)
    assert not paused.is_alive()
