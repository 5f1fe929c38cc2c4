"""The last saves of a settlement and its payments in its timeline: who or what made each of them.

A row knows when it was saved last, and not by whom. What an operator did stands in the audit, at the same
moment, and a job changes only while it runs. Where neither is found, it was a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin import Happening
from jobqueue.models import Job
from settlements.admin.changers import A_PROGRAM
from settlements.decisions import CHECKS

_SAME_MOMENT: Final = timedelta(seconds=1)
"""A save and its entry in the audit are of one transaction."""
_THAT_SAVE: Final = (CHECKS, "settlement.auto_complete")


@dataclass(frozen=True, slots=True)
class Save:
    """The last save of a record; without an address it is the record that the page is about."""

    at: datetime
    what: str
    url: str = ""
    state: SafeString | str = ""
    detail: str = ""


def with_saves(rows: Sequence[Happening], saves: Iterable[Save]) -> list[Happening]:
    """The rows and the saves: what an operator changed is one line, with how the record stands since."""
    found = list(rows)
    for save in saves:
        own = next((row for row in _by_operators(found, save.at) if row.url == save.url), None)
        if own is not None:
            found[found.index(own)] = replace(own, state=save.state, detail=own.detail or save.detail)
        else:
            found.append(_line(save, rows))
    return found


def _line(save: Save, rows: Sequence[Happening]) -> Happening:
    """The save with the job that ran then."""
    job = next((row.job for row in rows if row.job is not None and _may_have_saved(row.job, save.at)), None)
    said = [save.detail] if save.detail else []
    if job is not None and job.bulk_action:
        said.append(_("bulk action #%(number)s") % {"number": job.bulk_action})
    return Happening(
        at=save.at,
        what=save.what,
        url=save.url,
        who=_name_of(job),
        state=save.state,
        detail=" – ".join(said),
    )


def _by_operators(rows: Sequence[Happening], at: datetime) -> Iterator[Happening]:
    """What operators did at that moment."""
    return (row for row in rows if row.is_by_operator and abs(row.at - at) <= _SAME_MOMENT)


def _may_have_saved(job: Job, at: datetime) -> bool:
    if job.processor not in _THAT_SAVE or job.started_at is None or at < job.started_at - _SAME_MOMENT:
        return False
    return job.finished_at is None or at <= job.finished_at + _SAME_MOMENT


def _name_of(job: Job | None) -> str:
    if job is None:
        return str(A_PROGRAM)
    return _("job %(processor)s #%(number)s") % {"processor": job.processor, "number": job.pk}
