"""The pages of the operators' console that are timed, each with what it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_QUERIES: Final = 15

OVERVIEW, LIST, ONE, CALENDAR = 150, 300, 150, 200
"""Milliseconds of server time that 95 of 100 requests may take at most."""


@dataclass(frozen=True, slots=True)
class TimedPage:
    """A page: its key in the results, what it is called, its address, and how long it may take.

    In addresses stand the names of what the measured site has: `{job}`, `{failed}`, `{settlement}`,
    `{person}`, `{day}`; `{older}` leads a list on to a page in its middle, and `{hour}`
    is a time of one hour.
    """

    key: str
    label: str
    address: str
    most: int = LIST


def _jobs(key: str, label: str, query: str = "") -> TimedPage:
    return TimedPage(key, label, f"/admin/jobqueue/job/{query}")


_STATES = ("waiting", "delayed", "active", "stuck", "failed", "completed", "skipped", "cancelled")
_SEARCHES = (
    ("email", "email:user77@example.com"),
    ("error", 'state:failed error:"mailbox full"'),
    ("argument", "args.user_id:77"),
    ("since", "state:failed since:2h"),
    ("about", 'about:"Rent 4711"'),
    ("worker", "worker:web-1"),
    ("number", "#500000"),
    ("without", "state:delayed -queue:email"),
    ("name", "user77"),
    ("word", "reminders"),
    ("words", "reminders user77 Rent"),
    ("hosts", "worker:web"),
    ("not_error", "-error:timeout"),
    ("not_completed", "-state:completed -error:timeout"),
    ("not_failed_so", "state:failed -error:mailbox"),
    ("not_about", "user77 -mailbox"),
    ("retried", "state:retried since:2h"),
    ("bulk", "bulk:12"),
    ("processor", "processor:reminders.send"),
    (
        "many",
        'email:user77@example.com error:"mailbox full" args.user_id:77 state:failed since:2h '
        'worker:web-1 about:"Rent"',
    ),
)
_API = (
    ("jobs", "jobs/"),
    ("jobs_failed", "jobs/?search=state:failed"),
    ("jobs_email", "jobs/?search=email:user77@example.com"),
    ("jobs_word", "jobs/?search=user77"),
    *((name, f"{name}/") for name in ("queues", "processors", "causes", "bulk", "workers", "schedule")),
    *((name, f"{name}/") for name in ("settlements", "payments", "emails", "audit", "simulation")),
    ("days", "schedule/days/"),
)
"""Lists of the API, under `/api/`."""
_API_ONE = (
    ("job", "jobs/{job}/"),
    ("job_failed", "jobs/{failed}/"),
    ("settlement", "settlements/{settlement}/"),
    ("person", "people/{person}/"),
)
"""What the API says of one."""

PAGES: Final = (
    TimedPage("overview", "overview", "/admin/jobqueue/", OVERVIEW),
    TimedPage("index", "the admin's first page", "/admin/", OVERVIEW),
    _jobs("jobs", "all jobs"),
    _jobs("jobs_deep", "all jobs, behind 100,000", "?{older}"),
    *(_jobs(f"list_{state}", f"jobs that are {state}", f"?state={state}") for state in _STATES),
    _jobs("failed_deep", "failed jobs, behind 50,000", "?state=failed&{older_failed}"),
    _jobs("failed_processor", "failed jobs of a processor", "?state=failed&processor=reminders.send"),
    _jobs("delayed_processor", "delayed jobs of a processor", "?state=delayed&processor=reminders.send"),
    _jobs("waiting_processor", "waiting jobs of a processor", "?state=waiting&processor=reminders.send"),
    _jobs("queue", "jobs of a queue", "?queue=reminders"),
    TimedPage("failed", "the list of failed jobs", "/admin/jobqueue/failedjob/"),
    TimedPage(
        "failed_error", "failed jobs by an old address", "/admin/jobqueue/failedjob/?error=ValueError&age=day"
    ),
    TimedPage("failed_cause", "failed jobs of a rare cause", "/admin/jobqueue/failedjob/?cause=KeyError"),
    TimedPage(
        "failed_hours", "failed jobs of the last two hours", "/admin/jobqueue/failedjob/?age=two_hours"
    ),
    _jobs("ended", "completed jobs of an hour, from a chart", "?state=completed&{hour}"),
    TimedPage("set_aside", "the list of jobs set aside", "/admin/jobqueue/setasidejob/"),
    TimedPage("bulk", "bulk actions", "/admin/jobqueue/bulkaction/"),
    TimedPage("stuck", "the list of stuck jobs", "/admin/jobqueue/stuckjob/"),
    TimedPage("causes", "failures by cause", "/admin/jobqueue/cause/"),
    TimedPage("concerned", "whom failures concern, told apart", "/admin/jobqueue/cause/concerned/"),
    TimedPage("causes_hour", "failures by cause, last two hours", "/admin/jobqueue/cause/?age=two_hours"),
    *(_jobs(f"search_{key}", f"search: `{text}`", f"?{{q:{text}}}") for key, text in _SEARCHES),
    TimedPage("job", "a completed job", "/admin/jobqueue/job/{job}/change/", ONE),
    TimedPage("job_failed", "a failed job", "/admin/jobqueue/job/{failed}/change/", ONE),
    TimedPage("settlement", "a settlement", "/admin/settlements/settlement/{settlement}/change/", ONE),
    TimedPage("person", "a person", "/admin/auth/user/{person}/change/", ONE),
    TimedPage("letters", "a person's letters", "/admin/auth/user/{person}/letters/", ONE),
    TimedPage("people", "the list of people: search", "/admin/auth/user/?q=user77"),
    TimedPage("copy", "a job, to be copied", "/admin/jobqueue/job/{failed}/copy/", ONE),
    TimedPage("job_history", "the history of a job", "/admin/jobqueue/job/{failed}/history/", ONE),
    TimedPage("calendar", "the calendar", "/admin/jobqueue/job/calendar/", CALENDAR),
    TimedPage("calendar_day", "a day of the calendar", "/admin/jobqueue/job/calendar/{day}/", CALENDAR),
    TimedPage("running", "who runs what now", "/admin/jobqueue/job/running/", OVERVIEW),
    TimedPage("queues", "queues", "/admin/jobqueue/queue/", OVERVIEW),
    TimedPage("processors", "processors and their limits", "/admin/jobqueue/processorlimits/", OVERVIEW),
    TimedPage("workers", "workers", "/admin/jobqueue/worker/", OVERVIEW),
    TimedPage("charts", "charts of 48 hours", "/admin/jobqueue/charts/"),
    TimedPage("charts_days", "charts of 90 days", "/admin/jobqueue/charts/?span=quarter_by_hour"),
    TimedPage("audit", "what operators did", "/admin/jobqueue/auditentry/"),
    TimedPage("audit_who", "what one operator did", "/admin/jobqueue/auditentry/?who=operator3"),
    TimedPage("audit_day", "what was done on a day", "/admin/jobqueue/auditentry/?day={yesterday}"),
    TimedPage("settlements", "the list of settlements", "/admin/settlements/settlement/"),
    TimedPage("settlements_word", "settlements: search", "/admin/settlements/settlement/?q=Rent+4711"),
    TimedPage("simulate", "the reminder policy, tried", "/admin/settlements/settlement/simulate/", CALENDAR),
    TimedPage("payments", "the list of payments", "/admin/settlements/payment/"),
    TimedPage("discrepancies", "the list of discrepancies", "/admin/settlements/discrepancy/"),
    TimedPage("addresses", "the list of barred addresses", "/admin/settlements/barredaddress/"),
    TimedPage("letters_sent", "the list of e-mails", "/admin/settlements/emaildelivery/"),
    TimedPage("letters_word", "e-mails: search", "/admin/settlements/emaildelivery/?q=user77@example.com"),
    TimedPage("reminders", "the list of reminders", "/admin/settlements/reminderdelivery/"),
    TimedPage("reminders_word", "reminders: search", "/admin/settlements/reminderdelivery/?q=Rent+4711"),
    *(TimedPage(f"api_{key}", f"`GET /api/{path}`", f"/api/{path}") for key, path in _API),
    *(TimedPage(f"api_one_{key}", f"`GET /api/{path}`", f"/api/{path}", ONE) for key, path in _API_ONE),
)
