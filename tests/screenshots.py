"""`python -m tests.screenshots` writes a picture of every page of the console to docs/screenshots/.

It runs the demo (the site, a real worker, Redis, a mail server), lets its story go on for a while, adds a bad
night, and looks at each page in light and dark, 1280 and 390 px wide. What README shows is kept by git.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from spendsync_site.demo.folder import DemoFolder
from spendsync_site.demo.processes import LOOPBACK, end_with_parent, free_port, stop
from tests.browser.chromium import chromium

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "screenshots"
TALL, SHOWN_TALL = 2000, 1000
"""Pixels at which a long list is cut, and what README shows."""
SHOWN = {
    "app-list-1280-light": "The overview: what is wrong, a tile for each queue, the last 24 hours",
    "cause-1280-light": "Failures by cause: how many, since when, about whom, and what a retry sends",
    "job-that-is-a-reminder-1280-light": "A job that waits: why, its times, what can be done with it",
    "job-calendar-1280-light": "The calendar: what goes out in the next 14 days, by day and kind",
    "charts-1280-dark": "Charts in the dark theme: throughput, failures, how long jobs wait and run",
    "settlements-settlement-change-1280-light": "A settlement: how it stands, its payments, its jobs",
    "app-list-390-dark": "The overview on a phone",
    "settlements-person-letters-390-light": "On a phone: what a person was sent, will get, or did not",
}
"""What git keeps, with what README says of it to who does not see it."""
_AT_REST = """async () => {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  await Promise.allSettled(document.getAnimations().map((each) => each.finished));
}"""
"""The theme's colours change within 0.15 s: the new ones are asked for in the next frame, then awaited."""
STARTS_WITHIN, STORY_TAKES = 180.0, 150.0


def main() -> None:
    """Read the arguments, run the demo, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=PICTURES, help="the folder for the pictures")
    parser.add_argument("--only", default="", help="a part of the names of the pages to look at")
    parser.add_argument("--widths", default="1280,390")
    parser.add_argument("--schemes", default="light,dark")
    parser.add_argument("--shown", action="store_true", help="only what README shows")
    parser.add_argument("--language", default="en-GB", help="what the browser asks for, such as de-DE")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    looks = [
        (int(width), scheme)
        for width in arguments.widths.split(",")
        for scheme in arguments.schemes.split(",")
    ]
    with tempfile.TemporaryDirectory(prefix="spendsync-pictures-") as folder:
        demo = DemoFolder(Path(folder))
        with _running(demo) as address:
            pages = _pages(demo, address)
            chosen = {name: path for name, path in pages.items() if arguments.only in name}
            looked = _take(address, chosen, looks, arguments)
    print(f"{looked} pictures in {arguments.to}")


@contextmanager
def _running(demo: DemoFolder) -> Iterator[str]:
    """A demo that is up; its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "spendsync_site.demo", "--port", str(port), "--var", str(demo.path)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=end_with_parent,
    )
    address = f"http://{LOOPBACK}:{port}"
    try:
        _wait(lambda: process.poll() is None and _is_up(address), STARTS_WITHIN, "the demo is up")
        yield address
    finally:
        stop(process, 40)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/queues", timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _wait(happened: Callable[[], Any], seconds: float, what: str) -> None:
    end, pause = time.monotonic() + seconds, threading.Event()
    while not happened():
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        pause.wait(0.5)


# The story ----------------------------------------------------------------------------------------


def _pages(demo: DemoFolder, address: str) -> dict[str, str]:
    """Let the story go on, and where its pages are."""
    for line in demo.environment.read_text().splitlines():
        name, _equals, value = line.partition("=")
        os.environ[name] = value.strip("'")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright keeps an event loop in this thread
    import django

    django.setup()
    from jobqueue.models import Job
    from tests.browser import scene

    failed = Job.objects.filter(state="failed")
    _a_bad_night()
    _wait(lambda: failed.count() > 12, STORY_TAKES, "the story has failed jobs")
    _what_an_operator_does(address)
    _wait(lambda: failed.count() > 12, STORY_TAKES, "what was retried has failed again")
    return scene.pages_of(_told())


def _what_an_operator_does(address: str) -> None:
    """Retries a cause, pauses a queue with a reason, decides a settlement."""
    with chromium() as browser:
        page = _logged_in(browser, address)
        page.goto(f"{address}/admin/jobqueue/cause/")
        page.get_by_role("row", name="TypeError").get_by_role("button", name="Retry").click()
        page.wait_for_selector("#jq-bulk-progress")
        page.goto(f"{address}/admin/jobqueue/")
        page.get_by_label("Pause reminders").first.click()
        reason = page.locator(".jq-switch[open]")
        reason.get_by_label("Reason").fill("the provider asks for a break until the morning")
        reason.get_by_role("button", name="Pause reminders").click()
        page.wait_for_selector(".messagelist .success")
        page.goto(f"{address}/admin/settlements/settlement/?q=Taxi")
        page.locator("#result_list tbody th a").first.click()
        page.locator("button[value=complete]").click()
        page.fill("#id_reason", "Paid in cash on Saturday.")
        page.locator(".jq-confirm button[type=submit]").click()
        page.wait_for_selector(".messagelist .success")


def _a_bad_night() -> None:
    """Many letters; a program gives some of them a list where a text belongs."""
    from django.contrib.auth.models import User

    from settlements.jobs import add_email_notification_job

    anna = User.objects.get(username="anna")
    for number in range(60):
        data: dict[str, Any] = {"description": f"Lunch {number + 1}", "amount": 9, "currency": "EUR"}
        if number % 5 == 0:
            data["description"] = ["Soup", "Salad"]
        add_email_notification_job(anna.pk, anna.email, "", "settlement_reminder", data, delay=number / 10)


def _told() -> Any:
    """What the pages are about: a job of the story in each state there is."""
    from django.contrib.auth.models import User

    from jobqueue.models import Job
    from settlements.models import Settlement
    from tests.browser import scene

    waiting = Job.objects.filter(state="waiting").order_by("-run_at")
    jobs = {state: Job.objects.filter(state=state).order_by("-pk").first() for state in Job.State.values}
    jobs["skipped"] = Job.objects.filter(state="completed", reason__startswith="skipped").first()
    jobs["delayed"] = waiting.first()
    known = {state: job for state, job in jobs.items() if job is not None}
    for state in ("active", "failed", "stuck"):
        known.setdefault(state, next(iter(known.values())))
    reminder = waiting.filter(processor="reminders.send").first()
    assert reminder is not None, "the story has no reminder that waits"
    settlement = Settlement.objects.get(description="Rent for May")
    return scene.Scene(known, reminder, settlement, User.objects.get(username="anna"))


# The pictures -------------------------------------------------------------------------------------


def _take(
    address: str, pages: dict[str, str], looks: list[tuple[int, str]], arguments: argparse.Namespace
) -> int:
    taken = 0
    with chromium() as browser:
        page = _logged_in(browser, address, arguments.language)
        for name, place in pages.items():
            names = {f"{_file_name(name)}-{width}-{scheme}": (width, scheme) for width, scheme in looks}
            wanted = {name: look for name, look in names.items() if name in SHOWN or not arguments.shown}
            answer = page.goto(f"{address}{place}") if wanted else None
            if answer is None or answer.status != 200 or answer.request.redirected_from is not None:
                continue
            for file_name, (width, scheme) in wanted.items():
                page.set_viewport_size({"width": width, "height": 800})
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                page.evaluate(_AT_REST)
                most = SHOWN_TALL if file_name in SHOWN else TALL
                _picture(page, arguments.to / f"{file_name}.png", width, most)
                taken += 1
    return taken


def _logged_in(browser: Browser, address: str, language: str = "en-GB") -> Page:
    page = browser.new_page(locale=language)
    page.goto(f"{address}/admin/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    page.click("[type=submit]")
    return page


def _picture(page: Page, path: Path, width: int, most: int) -> None:
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.screenshot(
        path=path, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": min(tall, most)}
    )


def _file_name(name: str) -> str:
    return name.replace("jobqueue_", "").replace("_changelist", "").replace(" ", "-").replace("_", "-")


if __name__ == "__main__":
    main()
