"""The letters that a waiting job would send, as they would leave: nothing is written and nothing is sent.

What decides is the code that decides when they are sent: `settlements.truth` and the processors' own
questions. A letter that leaves later is judged by the time at which its job runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from jobqueue.models import Job, alias_of
from jobqueue.operating import Departure, departure_of
from settlements import emails, told
from settlements.decisions import EMAILS
from settlements.exceptions import InvalidEmailAddress
from settlements.letters import people_for
from settlements.models import Settlement
from settlements.processors.email import Letter, letter_of, news_of
from settlements.processors.reminders import question_of, reminder_of, why_not_again
from settlements.processors.settlement import event_by_status, is_reachable, why_not_told
from settlements.rows import Question, read
from settlements.truth import Verdict, look

DELETED: Final = "settlement was deleted"


@dataclass(frozen=True, slots=True)
class LetterPreview:
    """One letter: where it would go, what it would say, and what keeps it from leaving, if anything.

    `rendered` is None where there is nothing that it could speak of.
    """

    address: str = ""
    rendered: emails.RenderedEmail | None = None
    skipped: str = ""
    waits_until: datetime | None = None
    leaves: Departure | None = None


def letters_of(job: Job) -> list[LetterPreview]:
    """Every letter that this waiting job leads to, as it would be at the moment at which it leaves.

    That is not before a pause of its queue, or of that of the e-mails, ends. Raises what the processor would
    raise.
    """
    leaves = departure_of(job, [EMAILS])
    letters = _FOLLOWED[job.processor](job, alias_of(job), leaves.at)
    return [replace(letter, leaves=leaves) for letter in letters]


def _of_email(job: Job, using: str, at: datetime) -> Iterator[LetterPreview]:
    letter = letter_of(job, using, **job.payload)
    preview = _letter(letter.question, using, at, letter.subject, letter.data)
    yield replace(preview, skipped=preview.skipped or _nothing_new(letter, preview, using))


def _nothing_new(letter: Letter, preview: LetterPreview, using: str) -> str:
    """Why it is skipped if what it says was told; what is being sent at this moment is not waited for."""
    rows = read(letter.question, using)
    news = news_of(letter, rows, preview.rendered.subject) if preview.rendered else None
    is_told = news is not None and told.told_before(news, using) == told.Told.ALREADY
    return told.ALREADY_TOLD if is_told else ""


def _of_reminder(job: Job, using: str, at: datetime) -> Iterator[LetterPreview]:
    given: dict[str, Any] = {"step": 0, "planned": False, **job.payload}
    settlement_id, user_id = given.pop("settlement_id"), given.pop("user_id")
    settlement = _settlement(settlement_id, using)
    if settlement is None:
        yield LetterPreview(skipped=DELETED)
        return
    reminder = reminder_of(job, **given)
    again = why_not_again(settlement, reminder, using)
    yield _letter(question_of(settlement, user_id, reminder, job), using, at, also=again or "")


def _of_notification(job: Job, using: str, at: datetime) -> Iterator[LetterPreview]:
    payload = job.payload
    settlement = _settlement(payload["settlement_id"], using)
    if settlement is None:
        yield LetterPreview(skipped=DELETED)
        return
    event = payload.get("event") or event_by_status(settlement)
    user_id, payment_id = payload.get("user_id"), payload.get("payment_id")
    if user_id is not None:
        yield _letter(Question(event, user_id=user_id, settlement_id=settlement.pk), using, at)
        return
    skipped = why_not_told(settlement, event, payment_id, using)
    for person in filter(is_reachable, people_for(event, settlement)):
        question = Question(event, user_id=person.pk, settlement_id=settlement.pk, payment_id=payment_id)
        yield _letter(question, using, at, also=skipped or "")


_FOLLOWED: Final[dict[str, Callable[[Job, str, datetime], Iterator[LetterPreview]]]] = {
    "email.notification": _of_email,
    "reminders.send": _of_reminder,
    "settlement.settlement_notification": _of_notification,
}
PROCESSORS: Final = tuple(_FOLLOWED)
"""The processors whose jobs lead to letters."""


def _settlement(settlement_id: Any, using: str) -> Settlement | None:
    rows = Settlement.objects.using(using).select_related("payer", "payee")
    return rows.filter(pk=settlement_id).first()


def _letter(
    question: Question,
    using: str,
    at: datetime,
    subject: str = "",
    data: dict[str, Any] | None = None,
    *,
    also: str = "",
) -> LetterPreview:
    """The letter of this question; `also` is why its job would end before the letter is asked for."""
    verdict = look(question, using, at)
    given = {"settlement_id": question.settlement_id, "payment_id": question.payment_id}
    address = _address(question, verdict)
    skipped = verdict.skip or also or _trouble_with(address)
    waits = at + verdict.wait if verdict.wait and not skipped else None
    rendered = emails.render(
        question.template_type, subject, data or given, using=using, rows=verdict.rows, at=waits or at
    )
    return LetterPreview(address, rendered, skipped, waits)


def _address(question: Question, verdict: Verdict) -> str:
    person = verdict.rows.person
    return verdict.address or question.address or (str(person.email) if person is not None else "")


def _trouble_with(address: str) -> str:
    """Why the job would fail in place of sending: the address of a person's row may be none at all."""
    try:
        emails.check_address(address)
    except InvalidEmailAddress as error:
        return str(error)
    return ""
