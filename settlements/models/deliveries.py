"""What was sent: one row a reminder, one row an e-mail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import connections, models
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.models import Job, WrittenManager
from settlements.letter_words import letter_word
from settlements.models.settlement import Settlement

_UNDER_WAY_FOR: Final = timedelta(hours=1)
PERHAPS_SENT: Final = "its run ended while the mail server was asked, so perhaps it was sent"
NOT_AGAIN: Final = "not tried again: "
IN_VAIN: Final = "tried again in vain: "
ONCE_MORE: Final = "will be tried again: "
"""How the error of an e-mail begins that is perhaps sent: what came of it after the interrupted run."""


class ReminderType(models.TextChoices):
    """The stages of a reminder plan."""

    INITIAL = "initial", _("initial")
    FOLLOW_UP = "follow_up", _("follow-up")
    FINAL = "final", _("final")
    OVERDUE = "overdue", _("overdue")


class ReminderDelivery(models.Model):
    """One reminder; the unique rows make it at most one of each.

    It is `delivered` when the mail server took its e-mail. Until then it is on its way: nothing plans it
    again.
    """

    class Status(models.TextChoices):
        ON_ITS_WAY = "on_its_way", _("on its way")
        DELIVERED = "delivered", _("delivered")
        NOT_DELIVERED = "not_delivered", _("not delivered")

    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="reminder_deliveries", verbose_name=_("settlement")
    )
    reminder_type = models.CharField(_("type"), max_length=20, choices=ReminderType.choices)
    step = models.PositiveIntegerField(_("step"), default=0, validators=[MinValueValidator(0)])
    due_date = models.DateTimeField(_("due date"))
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("recipient")
    )
    payer_term = models.PositiveIntegerField(
        _("payers before this one"), default=0, db_default=0, editable=False
    )
    status = models.CharField(
        _("status"),
        max_length=15,
        choices=Status.choices,
        default=Status.DELIVERED,
        db_default=Status.DELIVERED,
    )
    email_job = models.ForeignKey(
        Job, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("e-mail job")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    objects = WrittenManager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("reminder delivery")
        verbose_name_plural = _("reminder deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "reminder_type", "step", "due_date", "payer_term"],
                name="settlements_reminder_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_reminder_type_display()} {self.step or ''}".strip()

    @property
    def is_uncertain(self) -> bool:
        """Whether it was given up, but a run of its e-mail ended while that was with the mail server."""
        if self.status != self.Status.NOT_DELIVERED or self.email_job_id is None:
            return False
        with_letter: dict[str, Any] = vars(self)
        if "letter_status" in with_letter:
            is_with_server = bool(with_letter["letter_status"] == EmailDelivery.Status.SENDING)
            return is_with_server and bool(with_letter["job_state"] != Job.State.ACTIVE)
        letter = EmailDelivery.objects.using(self._state.db).filter(job=self.email_job_id).first()
        return letter is not None and letter.is_uncertain

    @property
    def status_in_words(self) -> str:
        """What became of it: of who is said to be not delivered that is not always known."""
        return gettext("perhaps sent") if self.is_uncertain else self.get_status_display()


class Cancellation(models.Model):
    """What an operator cancelled of a settlement's work, by the unique key of its job; this is not pruned.

    Without a constraint in the database: it is written while the job is locked, and must not wait for
    somebody who has locked the settlement and waits for the job.
    """

    id = models.BigAutoField(primary_key=True)
    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="cancellations", db_constraint=False
    )
    unique_key = models.CharField(_("unique key"), max_length=200)
    cancelled_at = models.DateTimeField(_("cancelled"), default=timezone.now)

    objects = WrittenManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("cancellation")
        verbose_name_plural = _("cancellations")
        constraints = [
            models.UniqueConstraint(fields=["settlement", "unique_key"], name="settlements_cancelled_once")
        ]

    def __str__(self) -> str:
        return self.unique_key


class MovedReminder(models.Model):
    """When a reminder of a plan goes out that an operator moved: a decision on the settlement, not pruned.

    It holds for the due date and the payer that the settlement had; a plan for others drops it. Without a
    constraint in the database, as for what was cancelled.
    """

    id = models.BigAutoField(primary_key=True)
    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="moved_reminders", db_constraint=False
    )
    reminder_type = models.CharField(_("type"), max_length=20, choices=ReminderType.choices)
    step = models.PositiveIntegerField(_("step"), default=0)
    due_date = models.DateTimeField(_("due date"))
    payer_term = models.PositiveIntegerField(_("payers before this one"), default=0, db_default=0)
    run_at = models.DateTimeField(_("moved to"))
    moved_at = models.DateTimeField(_("moved"), default=timezone.now)

    objects = WrittenManager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        verbose_name = _("moved reminder")
        verbose_name_plural = _("moved reminders")
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "reminder_type", "step", "due_date", "payer_term"],
                name="settlements_moved_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_reminder_type_display()} {self.step or ''}".strip()


class EmailDeliveryManager(WrittenManager["EmailDelivery"]):
    """What nearly every e-mail writes first, each in one statement: to look, insert and catch takes five.

    Without `begin` an e-mail takes 7 statements instead of 3, and 52 % more of the worker's CPU: 6.7 ms
    instead of 4.4 (medians of four runs of the benchmark `email` in turns; PostgreSQL 43 % more).
    """

    def begin(self, job: Job, **facts: Any) -> EmailDelivery | None:
        """Write the row of a job that has none, with the right to send its e-mail.

        None if there is a row, or if the job has a newer attempt.
        """
        key = self._write(
            f"""
            INSERT INTO settlements_emaildelivery
                (job_id, status, tries, error, created_at, {", ".join(facts)})
            SELECT %s, 'sending', 1, '', {self._now()}, {", ".join(["%s"] * len(facts))}
            WHERE EXISTS (SELECT 1 FROM jobqueue_job WHERE id = %s AND attempt = %s)
            ON CONFLICT DO NOTHING
            RETURNING id
            """,
            [job.pk, *facts.values(), job.pk, job.attempt],
        )
        if key is None:
            return None
        return self.model(pk=key, job=job, status=EmailDelivery.Status.SENDING, tries=1, **facts)

    def end(self, job: Job, status: str, reason: str, **facts: Any) -> str | None:
        """Write into the row of a job, or a new one, why its e-mail is not sent; the status that it has then.

        None if it was sent. Of a row that is there only status and reason change. One that is with the mail
        server stays so: who sends it at this moment says what came of it, and where an earlier run was
        interrupted meanwhile nobody knows.
        """
        is_with_server = (
            "settlements_emaildelivery.status = 'sending' AND settlements_emaildelivery.tries > 0"
        )
        written = self._write(
            f"""
            INSERT INTO settlements_emaildelivery
                (job_id, status, tries, error, created_at, {", ".join(facts)})
            VALUES (%s, %s, 0, %s, CURRENT_TIMESTAMP, {", ".join(["%s"] * len(facts))})
            ON CONFLICT (job_id) DO UPDATE SET
                status = CASE WHEN {is_with_server} THEN 'sending' ELSE excluded.status END,
                error = CASE WHEN {is_with_server} THEN %s ELSE excluded.error END
            WHERE settlements_emaildelivery.status NOT IN ({", ".join(["%s"] * len(EmailDelivery.TAKEN))})
            RETURNING status
            """,
            [job.pk, status, reason, *facts.values(), f"{NOT_AGAIN}{reason}", *EmailDelivery.TAKEN],
        )
        return None if written is None else str(written)

    def with_job_states(self) -> models.QuerySet[EmailDelivery]:
        """E-mails with what became of their jobs, which tells the status of some."""
        return self.annotate(job_state=models.F("job__state"))

    def _now(self) -> str:
        """When the letter was made ready: not when its transaction began, which waited for another letter."""
        is_sqlite = connections[self.db].vendor == "sqlite"
        return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')" if is_sqlite else "STATEMENT_TIMESTAMP()"

    def _write(self, statement: str, parameters: list[Any]) -> Any:
        """What the statement gives back of the row that it wrote; None if it wrote none."""
        with connections[self.db].cursor() as cursor:
            cursor.execute(statement, parameters)
            row = cursor.fetchone()
        return row[0] if row else None


class EmailDelivery(models.Model):
    """One e-mail: written `sending` before it is sent and `sent` after, or `skipped` and why.

    Where a run is interrupted in between, it stays `sending` until it is known that it was sent: whatever
    becomes of later runs, nobody knows whether that one sent it. `error` says what came of them.
    """

    class Status(models.TextChoices):
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        DEFERRED = "deferred", _("tried again later")
        FAILED = "failed", _("failed")
        SKIPPED = "skipped", _("skipped")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained about")

    TAKEN = (Status.SENT, Status.BOUNCED, Status.COMPLAINED)
    """The mail server took it: it is never sent again."""
    UNDECIDED = (Status.SENDING, Status.DEFERRED)
    """What becomes of it is not known yet. Where its job has ended all the same, the job tells it."""

    id = models.BigAutoField(primary_key=True)
    job = models.OneToOneField(
        Job, models.SET_NULL, null=True, blank=True, related_name="email_delivery", verbose_name=_("job")
    )
    message_id = models.CharField(_("Message-ID"), max_length=250, unique=True)
    provider_id = models.CharField(
        _("provider's id"),
        max_length=250,
        default="",
        db_default="",
        blank=True,
        help_text=_("What the mail provider calls it."),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("person"),
    )
    recipient = models.EmailField(_("recipient"), blank=True)
    template_type = models.CharField(_("template"), max_length=50)
    subject = models.CharField(_("subject"), max_length=250, default="", blank=True)
    about = models.CharField(_("about"), max_length=200, default="", blank=True, db_index=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.SENDING)
    tries = models.PositiveIntegerField(_("tries"), default=1)
    tries_before = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    trying_since = models.DateTimeField(
        _("tried since"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("When somebody asked for it once more; else it is tried since it was created."),
    )
    error = models.TextField(_("error or reason"), default="", blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    was_interrupted = False
    """For who has taken the right to send it: whether an earlier run ended while it was with the server."""

    objects = EmailDeliveryManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("e-mail delivery")
        verbose_name_plural = _("e-mail deliveries")
        permissions = [("view_person", _("Can find people and see their letters"))]
        indexes = [
            models.Index(
                fields=["provider_id"], condition=~models.Q(provider_id=""), name="email_provider_id"
            ),
            # Whole addresses are looked for, in any case: 300,000 e-mails were read for one.
            models.Index(Upper("recipient"), name="email_recipient"),
        ]

    def __str__(self) -> str:
        return f"{letter_word(self.template_type)} ({self.status_in_words})"

    @property
    def is_uncertain(self) -> bool:
        """Whether a run of its job ended while it was with the mail server: nobody knows if that took it.

        Its worker was killed then, or the job stopped; perhaps it runs again, or waits for that. One without
        a job is taken to be under way for an hour.
        """
        if self.status != self.Status.SENDING:
            return False
        if self.job_id is None:
            return bool(self.error) or self.created_at < timezone.now() - _UNDER_WAY_FOR
        return self._state_of_job() != Job.State.ACTIVE

    @classmethod
    def perhaps_sent(cls) -> models.Q:
        """Those that are uncertain."""
        over = [state for state in Job.State if state != Job.State.ACTIVE]
        is_old = ~models.Q(error="") | models.Q(created_at__lt=timezone.now() - _UNDER_WAY_FOR)
        is_over = models.Q(job__state__in=over) | (models.Q(job__isnull=True) & is_old)
        return models.Q(status=cls.Status.SENDING) & is_over

    def _state_of_job(self) -> str | None:
        with_it: dict[str, Any] = vars(self)
        if "job_state" in with_it:
            return str(with_it["job_state"])
        return self.job.state if self.job is not None else None

    @property
    def status_in_words(self) -> str:
        """What became of it, which are other ones for who is said to be sending and is not any more."""
        return gettext("perhaps sent") if self.is_uncertain else self.get_status_display()

    @property
    def told_error(self) -> str:
        """Why it is not sent, or that this is not known, and what came of it then; empty while it is sent."""
        if self.is_uncertain:
            return "; ".join(filter(None, (PERHAPS_SENT, self.error)))
        return "" if self.status == self.Status.SENDING else self.error
