"""What is asked about failed jobs, in the words of an address, as a selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from jobqueue.models import Job, Selection
from jobqueue.operating.failing_times import failing_time

_LONGEST_WORD = 200


@dataclass(frozen=True, slots=True)
class Question:
    """Which failed jobs are asked for; `problem` says what of the question cannot be read."""

    selection: Selection
    problem: str = ""

    @property
    def jobs(self) -> Any:
        """The failed jobs that are asked for: none if the question cannot be read."""
        return Job.objects.none() if self.problem else self.selection.of(Job.objects.all())


def question(asked: Mapping[str, str], now: datetime | None = None) -> Question:
    """The failed jobs that the words of an address ask for: cause, queue, processor, age, from, to.

    Ages are told from `now`: when a page was shown, or this moment.
    """
    time = failing_time(asked, Job.objects.db, now)
    words = {name: asked.get(name, "")[:_LONGEST_WORD] for name in ("cause", "queue", "processor")}
    problems = [time.problem] if time.problem else []
    for name, text in words.items():
        if "\x00" in text:
            words[name] = ""
            problems.append(gettext("%(name)s cannot have the character U+0000") % {"name": name})
    selection = Selection(
        cause=words["cause"],
        queue=words["queue"],
        processor=words["processor"],
        ended_from=time.begin,
        ended_to=time.end,
    )
    return Question(selection, "; ".join(problems))
