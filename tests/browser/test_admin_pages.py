"""The admin in a real browser: what operators click, in light and dark, wide and narrow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.utils import timezone
from moneyed import Money
from playwright.sync_api import Page, expect

from jobqueue.models import Job, ProcessorLimits, Queue
from jobqueue.searching import OF_ANY_STATE, STATES
from jobqueue.testing import drain
from settlements.models import BarredAddress, Discrepancy, EmailDelivery, Payment, Settlement
from tests.browser.keyboard import go, write
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker, page_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


def _choose_person(page: Page, field: str, name: str) -> None:
    page.click(f".field-{field} .select2-selection")
    page.fill(".select2-search__field", name)
    page.click(f".select2-results__option:has-text('{name}')")


def test_a_settlement_created_in_the_admin_leads_to_its_jobs_and_e_mails(
    open_page: Any, payer: User, payee: User
) -> None:
    page = open_page("/admin/settlements/settlement/add/")
    page.fill("#id_description", "Dinner in Lisbon")
    _choose_person(page, "payer", "payer")
    _choose_person(page, "payee", "payee")
    page.fill("#id_amount_0", "84.50")
    page.select_option("#id_amount_1", "EUR")
    due = timezone.now() + timedelta(days=10)
    page.fill("#id_due_date_0", f"{due:%Y-%m-%d}")
    page.fill("#id_due_date_1", f"{due:%H:%M:%S}")
    page.click("input[name=_continue]")
    expect(page.locator(".messagelist .success")).to_contain_text("was added successfully")
    expect(page.locator("#jobs")).to_contain_text("settlement.settlement_notification")
    expect(page.locator("#jobs")).to_contain_text("reminders.send")
    settlement = Settlement.objects.get()
    assert Job.objects.about(settlement).count() > 5
    drain(until=timezone.now() + timedelta(minutes=1))
    assert {recipient for message in mail.outbox for recipient in message.to} == {payer.email, payee.email}
    page.reload()
    expect(page.locator("#jobs .jq-completed").first).to_be_visible()


def test_a_payment_added_on_the_page_of_its_settlement_makes_a_job(
    open_page: Any, settlement: Settlement
) -> None:
    page = open_page(f"/admin/settlements/settlement/{settlement.pk}/change/")
    page.click(".add-row a")
    page.fill("#id_payments-0-amount_0", "20")
    page.click("input[name=_continue]")
    expect(page.locator("#jobs")).to_contain_text("settlement.payment_status_check")
    assert settlement.payments.get().status == "pending"


def test_a_page_that_was_open_while_the_settlement_changed_is_refused_once(
    open_page: Any, settlement: Settlement
) -> None:
    page = open_page(f"/admin/settlements/settlement/{settlement.pk}/change/")
    page.fill("#id_description", "Supper in Porto")
    settlement.amount = Money(90, "EUR")
    settlement.save()
    page.click("input[name=_continue]")
    expect(page.locator(".errorlist.nonfield")).to_contain_text("Amount: €100.00 → €90.00 by a program.")
    expect(page.locator("#id_description")).to_have_value("Supper in Porto")
    expect(page.locator("#id_amount_0")).to_have_value("90.00")
    page.click("input[name=_continue]")
    expect(page.locator(".messagelist .success")).to_contain_text("was changed successfully")
    settlement.refresh_from_db()
    assert (settlement.description, settlement.amount) == ("Supper in Porto", Money(90, "EUR"))


def test_a_settlement_is_completed_with_a_reason(open_page: Any, settlement: Settlement) -> None:
    page = open_page(f"/admin/settlements/settlement/{settlement.pk}/change/")
    page.click("button[value=complete]")
    expect(page.locator(".jq-question")).to_contain_text("1 settlement")
    page.click("text=Complete: yes, 1 settlement")
    expect(page.locator(".jq-field .errorlist")).to_contain_text("Say why")
    page.fill("#id_reason", "Paid in cash on Saturday.")
    page.click("text=Complete: yes, 1 settlement")
    expect(page.locator(".messagelist .success")).to_have_text("1 settlement completed.")
    expect(page.locator(".jq-record .jq-why")).to_contain_text("“Paid in cash on Saturday.”")
    expect(page.locator(".jq-standing .jq-completed")).to_have_text("completed")
    expect(page.locator("button[value=reopen]")).to_be_visible()
    settlement.refresh_from_db()
    assert (settlement.status, str(settlement.decided_by)) == ("completed", "admin")


def test_a_failed_job_is_found_read_and_retried(open_page: Any) -> None:
    job = make_job("failed", reason="ConnectionError: no route")
    add_attempt(job, 4, message="no route", traceback="Traceback (most recent call last): boom")
    page = open_page("/admin/jobqueue/failedjob/")
    page.click(f"text=#{job.pk}")
    expect(page.locator("pre >> text=boom")).to_be_visible()
    page.click("button[value=retry]")
    expect(page.locator(".jq-question")).to_contain_text("1 job")
    page.click("text=Retry: yes, 1 job")
    expect(page.locator(".messagelist .success")).to_contain_text("1 job retried.")
    expect(page.locator(".jq-timeline")).to_contain_text("admin")
    assert Job.objects.get(pk=job.pk).state == "waiting"


def test_all_jobs_of_a_list_are_retried_over_its_pages(open_page: Any) -> None:
    for _ in range(55):
        make_job("failed")
    page = open_page("/admin/jobqueue/failedjob/")
    page.click(".jq-all-matching button[value=retry]")
    page.click("text=Retry: yes, 55 jobs")
    expect(page.locator(".messagelist .success")).to_contain_text("55 jobs retried.")
    assert Job.objects.waiting().count() == 55


def test_chosen_jobs_are_cancelled_through_the_menu(open_page: Any) -> None:
    chosen, other = make_job(), make_job()
    page = open_page("/admin/jobqueue/job/")
    page.check(f".action-select[value='{chosen.pk}']")
    page.select_option("select[name=action]", "cancel")
    page.click("button[name=index]")
    page.click("text=No, take me back")
    assert Job.objects.waiting().count() == 2
    page.check(f".action-select[value='{chosen.pk}']")
    page.select_option("select[name=action]", "cancel")
    page.click("button[name=index]")
    page.click("text=Cancel: yes, 1 job")
    expect(page.locator(".messagelist .success")).to_contain_text("1 job cancelled.")
    assert Job.objects.get(pk=other.pk).state == "waiting"


def test_the_counts_of_the_queues_refresh_by_themselves_until_paused(open_page: Any) -> None:
    page = open_page("/admin/jobqueue/queue/")
    waiting = page.locator("[data-count='email/waiting']")
    expect(waiting).to_have_text("0")
    make_job(queue="email")
    expect(waiting).to_have_text("1", timeout=15_000)
    page.click("text=Pause refresh")
    expect(page.locator("[data-live-state]")).to_have_text("Refresh is paused.")
    make_job(queue="email")
    page.click("text=Resume refresh")
    expect(waiting).to_have_text("2")


def test_a_queue_is_paused(open_page: Any) -> None:
    page = open_page("/admin/jobqueue/queue/")
    page.check(".action-select[value=email]")
    page.select_option("select[name=action]", "pause")
    page.click("button[name=index]")
    expect(page.locator(".jq-paused")).to_have_text("paused")
    assert Queue.objects.get(pk="email").paused


def test_the_limits_of_a_queue_are_set(open_page: Any) -> None:
    page = open_page("/admin/jobqueue/queue/")
    page.click("#result_list >> text=email")
    page.fill("#id_rate_limit", "0")
    page.click("input[name=_save]")
    expect(page.locator(".errorlist")).to_contain_text("pause the queue instead")
    page.fill("#id_rate_limit", "10")
    page.click("input[name=_save]")
    expect(page.locator(".messagelist .success")).to_have_text("Limits of email: 10 a second.")
    assert Queue.objects.get(pk="email").rate_limit == 10


# Looks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_no_page_is_wider_than_the_screen_and_every_state_can_be_read(
    open_page: Any, settlement: Settlement, scheme: str, width: int
) -> None:
    worker = make_worker(silent_for=60)
    most = {"rate_limit": 10_000, "concurrency_limit": 1_000}
    Queue.objects.create(name="email", **most)
    ProcessorLimits.objects.create(name="email.notification", **most)
    states = ("waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled")
    jobs = {state: make_job(state, subject=f"settlements.settlement:{settlement.pk}") for state in states}
    Job.objects.filter(pk=jobs["stuck"].pk).update(worker=worker, reason="a long reason " * 20)
    add_attempt(jobs["failed"], message="long" * 300, traceback="x" * 400)
    page = open_page("/admin/", width=width, scheme=scheme)
    for path in (
        "/admin/jobqueue/job/",
        "/admin/jobqueue/failedjob/",
        "/admin/jobqueue/stuckjob/",
        "/admin/jobqueue/queue/",
        "/admin/jobqueue/queue/email/change/",
        "/admin/jobqueue/processorlimits/",
        "/admin/jobqueue/processorlimits/email.notification/change/",
        "/admin/jobqueue/worker/",
        page_of(jobs["failed"]),
        page_of(jobs["stuck"]),
        f"/admin/settlements/settlement/{settlement.pk}/change/",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert page.evaluate(_LOWEST_CONTRAST) >= 4.5, path
    connection.close()


def _assert_nothing_is_cut(page: Page, name: str) -> None:
    """Neither the page nor a list on it is wider than its place."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    cut = "[...document.querySelectorAll('.results')].some((list) => list.scrollWidth > list.clientWidth)"
    assert not page.evaluate(cut), name


@pytest.mark.parametrize("width", [1280, 390])
def test_no_column_is_cut_in_the_list_of_any_state_and_each_is_reached_by_keyboard(
    open_page: Any, settlement: Settlement, width: int
) -> None:
    about = {
        "subject": f"settlements.settlement:{settlement.pk}",
        "processor": "settlement.payment_status_check",
    }
    for state in ("waiting", "delayed", "active", "stuck", "completed", "failed", "cancelled"):
        make_job(state, **about)
    make_job("skipped", **about, queue="settlement")
    page = open_page("/admin/jobqueue/job/", width=width)
    _assert_nothing_is_cut(page, "all")
    for word in (word for word in STATES if word not in OF_ANY_STATE):
        page.locator(f'.jq-tab[href$="state={word}"]').focus()
        with page.expect_navigation():  # else what is measured is still on its way
            page.keyboard.press("Enter")
        expect(page.locator(f'.jq-tab[aria-current="page"][href$="state={word}"]')).to_be_visible()
        _assert_nothing_is_cut(page, word)
        assert page.evaluate(_LOWEST_CONTRAST) >= 4.5, word
    connection.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_about_money_is_wider_than_the_screen_and_every_status_can_be_read(
    open_page: Any, settlement: Settlement, scheme: str, width: int
) -> None:
    statuses = Payment.Status.values
    payments = [
        Payment.objects.create(settlement=settlement, amount=settlement.amount, status=status)
        for status in statuses
    ]
    for cause in BarredAddress.Cause.values:
        address = settlement.payer.email if cause == "bounced" else f"{cause}@example.com"
        BarredAddress.objects.create(address=address, cause=cause, detail="long" * 100)
    for kind in Discrepancy.Kind.values:
        about = {"settlement": settlement, "payment": payments[0], "detail": "seen " * 50}
        Discrepancy.objects.create(kind=kind, amount=12, currency="EUR", **about)
    for status in EmailDelivery.Status.values:
        EmailDelivery.objects.create(message_id=f"<{status}@x>", status=status, error="421 " * 100)
    page = open_page("/admin/", width=width, scheme=scheme)
    for path in (
        "/admin/settlements/settlement/",
        f"/admin/settlements/settlement/{settlement.pk}/change/",
        "/admin/settlements/payment/",
        f"/admin/settlements/payment/{payments[2].pk}/change/",
        "/admin/settlements/discrepancy/",
        f"/admin/settlements/discrepancy/{Discrepancy.objects.first().pk}/change/",
        "/admin/settlements/barredaddress/",
        f"/admin/settlements/barredaddress/{BarredAddress.objects.first().pk}/change/",
        "/admin/settlements/emaildelivery/",
        "/admin/settlements/reminderdelivery/",
        f"/admin/auth/user/{settlement.payer.pk}/change/",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert page.evaluate(_LOWEST_CONTRAST) >= 4.5, path
    connection.close()


# The lowest contrast of a badge's text to what lies behind it (WCAG 2).
_LOWEST_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrasts = [...document.querySelectorAll(".jq-badge")].map((badge) => {
    const behind = [];
    for (let node = badge; node; node = node.parentElement) {
      behind.unshift(getComputedStyle(node).backgroundColor);
    }
    const back = light(paint(behind)), text = light(paint([getComputedStyle(badge).color]));
    return (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
  });
  return Math.min(21, ...contrasts);
}"""


def test_find_a_job_by_argument_e_mail_error_text(
    open_page: Any, settlement: Settlement, payer: User, payee: User
) -> None:
    by_argument = make_job(payload={"user_id": 4711})
    by_address = make_job("completed", payload={"email": "anna@example.com"})
    by_error = make_job(
        "failed", queue="reminders", reason="EmailNotSent: SMTPRecipientsRefused 552 mailbox full"
    )
    page = open_page("/admin/jobqueue/job/")
    rows, words = page.locator("#result_list tbody tr"), page.locator(".jq-word")

    def look_for(text: str) -> None:
        write(page, page.locator("#searchbar"), text)
        with page.expect_navigation():
            page.keyboard.press("Enter")

    for text, job in (
        ("args.user_id:4711", by_argument),
        ("email:anna@example.com", by_address),
        ('error:"mailbox full" queue:reminders', by_error),
    ):
        look_for(text)
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(f"#{job.pk}")

    expect(words).to_have_text(['error:"mailbox full" × (remove)', "queue:reminders × (remove)"])
    go(page, words.nth(0))
    expect(words).to_have_count(1)
    assert rows.count() == Job.objects.filter(queue="reminders").count() > 1

    look_for("Pia")
    found = page.locator(".jq-found")
    expect(found).to_contain_text("People")
    expect(found.get_by_role("link", name="Pia Payer")).to_be_visible()
    assert rows.count() == Job.objects.about(settlement).count()

    look_for("colour:red")
    expect(page.get_by_role("alert")).to_contain_text("There is no colour:; allowed are id:")
    expect(rows).to_have_count(0)
