"""A day is a day of the reminders' time zone, in the plan and in the letters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.testing import at, run_job
from settlements import emails
from settlements.conf import ReminderPolicy
from settlements.jobs import add_email_notification_job
from settlements.models import ReminderType, Settlement
from settlements.reminders import calendar, current_policy, day_of
from tests.settlements.letters import EVERY_TYPE, REMINDERS, UNPAID
from tests.settlements.steps import EMAIL, domain_settings, only, reminders_of, run_soon

DAY = timedelta(days=1)
ZONES = [
    *("UTC", "Pacific/Apia", "Pacific/Pago_Pago", "Pacific/Kiritimati", "Etc/GMT+12"),
    *("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"),
]
every_zone = pytest.mark.parametrize("zone", ZONES)
HOURS = range(24)
AROUND_CHANGES = [
    date(2030, 3, 30),  # Berlin leaves winter on 31 March
    date(2030, 3, 31),
    date(2030, 10, 26),  # and summer on 27 October
    date(2030, 10, 27),
    date(2030, 3, 9),  # New York on 10 March
    date(2030, 11, 2),  # and on 3 November
    date(2030, 6, 15),
]

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def use_zone(settings: DjangoSettings) -> Callable[..., None]:
    """Sets the reminders' zone, and Django's to another one."""

    def use(zone: str, django_zone: str = "UTC", **reminders: Any) -> None:
        settings.TIME_ZONE = django_zone
        settings.SETTLEMENTS = domain_settings(reminders={"TIME_ZONE": zone, **reminders})

    return use


def policy_of(zone: str, **values: Any) -> ReminderPolicy:
    return ReminderPolicy(time_zone=ZoneInfo(zone), **values)


def due_dates() -> list[datetime]:
    """Every hour of days on which a clock changes somewhere, and of one on which none does."""
    return [
        datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)
        for day in AROUND_CHANGES
        for hour in HOURS
    ]


# The plan -------------------------------------------------------------------------------------------


@every_zone
@pytest.mark.parametrize("quiet", [False, True])
def test_overdue_reminders_never_leave_on_the_due_day(zone: str, quiet: bool) -> None:
    hours = {"quiet_hours": (datetime(1, 1, 1, 21).time(), datetime(1, 1, 1, 8).time())} if quiet else {}
    policy = policy_of(zone, **hours)
    for due in due_dates():
        for reminder in calendar(due - 30 * DAY, due, policy):
            if reminder.reminder_type == ReminderType.OVERDUE:
                assert day_of(reminder.run_at, policy) > day_of(due, policy)


@every_zone
def test_overdue_reminders_leave_so_many_days_of_the_calendar_after_the_due_day(zone: str) -> None:
    policy = policy_of(zone)
    for due in due_dates():
        overdue = [
            (day_of(reminder.run_at, policy) - day_of(due, policy)).days
            for reminder in calendar(due - 30 * DAY, due, policy)
            if reminder.reminder_type == ReminderType.OVERDUE
        ]
        assert overdue == [1, 3, 7, 14, 30]


@every_zone
def test_the_final_reminder_leaves_on_the_due_day(zone: str) -> None:
    policy = policy_of(zone)
    for due in due_dates():
        [final] = [r for r in calendar(due - 30 * DAY, due, policy) if r.reminder_type == "final"]
        assert day_of(final.run_at, policy) == day_of(due, policy)


# The letters ----------------------------------------------------------------------------------------


def on(moment: datetime, template_type: str, **values: Any) -> Any:
    with at(moment):
        return emails.render(template_type, "", {**UNPAID, "is_past_due": None, **values})


def shown(day: date) -> str:
    return f"{day:%B} {day.day}, {day.year}"


@every_zone
@pytest.mark.parametrize("hour", [0, 6, 11, 13, 18, 23])
def test_a_letter_prints_the_due_day_of_the_zone(use_zone: Callable[..., None], zone: str, hour: int) -> None:
    use_zone(zone)
    due = datetime(2030, 5, 3, hour, 30, tzinfo=UTC)
    text = on(due - DAY, "reminder_follow_up", due_date=due).text
    assert shown(due.astimezone(ZoneInfo(zone)).date()) in " ".join(text.split())


@pytest.mark.parametrize("django_zone", ["UTC", "Pacific/Apia", "America/New_York"])
def test_djangos_own_zone_does_not_count(use_zone: Callable[..., None], django_zone: str) -> None:
    use_zone("Pacific/Pago_Pago", django_zone)
    due = datetime(2030, 5, 3, 5, 30, tzinfo=UTC)  # still 2 May there
    assert "May 2, 2030" in " ".join(on(due - DAY, "reminder_follow_up", due_date=due).text.split())


def test_a_zone_that_a_caller_activated_does_not_count(use_zone: Callable[..., None]) -> None:
    use_zone("Pacific/Pago_Pago")
    due = datetime(2030, 5, 3, 5, 30, tzinfo=UTC)
    with timezone.override("Pacific/Apia"):
        assert "May 2, 2030" in " ".join(on(due - DAY, "reminder_follow_up", due_date=due).text.split())


def test_without_a_zone_of_their_own_reminders_have_djangos(settings: DjangoSettings) -> None:
    reminders = domain_settings()["REMINDERS"]
    reminders.pop("TIME_ZONE")
    settings.SETTLEMENTS = {"REMINDERS": reminders}
    settings.TIME_ZONE = "Pacific/Apia"
    assert current_policy().time_zone == ZoneInfo("Pacific/Apia")


@every_zone
@pytest.mark.parametrize("template_type", REMINDERS)
def test_no_letter_asks_to_pay_by_a_day_that_is_past(
    use_zone: Callable[..., None], zone: str, template_type: str
) -> None:
    use_zone(zone)
    due = datetime(2030, 5, 3, 14, 30, tzinfo=UTC)
    for hours in range(-26, 27):
        moment = due + timedelta(hours=hours)
        is_past = day_of(due, current_policy()) < day_of(moment, current_policy())
        text = on(moment, template_type, due_date=due)
        if is_past:
            assert "pay by" not in f"{text.subject} {' '.join(text.text.split())} {text.html}".lower()


@every_zone
def test_a_debt_is_late_from_the_day_after_the_due_day(use_zone: Callable[..., None], zone: str) -> None:
    use_zone(zone)
    due = datetime(2030, 5, 3, 14, 30, tzinfo=UTC)
    midnight = datetime.combine(
        due.astimezone(ZoneInfo(zone)).date() + DAY, datetime.min.time(), ZoneInfo(zone)
    )
    for template_type in REMINDERS:
        before = on(midnight - timedelta(minutes=1), template_type, due_date=due).text
        after = on(midnight, template_type, due_date=due).text
        assert before != after or template_type in ("reminder_overdue",)


@pytest.mark.parametrize("template_type", EVERY_TYPE)
def test_a_date_without_a_zone_is_one_of_the_reminders_zone(
    use_zone: Callable[..., None], template_type: str
) -> None:
    use_zone("Pacific/Apia")
    with_zone = on(datetime(2030, 5, 1, tzinfo=UTC), template_type, due_date="2030-05-03T00:30:00+13:00")
    without = on(datetime(2030, 5, 1, tzinfo=UTC), template_type, due_date="2030-05-03T00:30:00")
    assert without.text == with_zone.text


# Both together --------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Pacific/Apia", "Pacific/Pago_Pago", "Europe/Berlin"])
@pytest.mark.parametrize("hour", [0, 6, 12, 18, 23])
def test_the_first_overdue_letter_leaves_after_the_day_that_it_prints(
    make_settlement: Callable[..., Settlement], use_zone: Callable[..., None], zone: str, hour: int
) -> None:
    use_zone(zone)
    due = (timezone.now() + 10 * DAY).replace(hour=hour, minute=30)
    settlement = make_settlement(due_date=due)
    run_soon()
    mail.outbox.clear()
    job = reminders_of(settlement)["overdue", 1]
    leaves = job.run_at
    with at(leaves):
        run_job(job)
        run_job(only(settlement, EMAIL))
    [message] = mail.outbox
    printed = due.astimezone(ZoneInfo(zone)).date()
    assert shown(printed) in " ".join(str(message.body).split())
    assert leaves.astimezone(ZoneInfo(zone)).date() == printed + DAY


def test_a_programs_own_letter_prints_the_day_of_the_zone(
    settlement: Settlement, use_zone: Callable[..., None]
) -> None:
    use_zone("Pacific/Apia")
    data = {"settlement_id": str(settlement.pk), "due_date": "2001-01-01T00:00:00+00:00"}
    job = add_email_notification_job(None, "user@example.com", "", "settlement_reminder", data)
    run_job(job)
    text = " ".join(str(mail.outbox[-1].body).split())
    assert shown(settlement.due_date.astimezone(ZoneInfo("Pacific/Apia")).date()) in text
    assert "2001" not in text
