"""What stands at the head of the schema of this site's API."""

from __future__ import annotations

from typing import Final

DESCRIPTION: Final = """\
What the admin shows and does, for programs. Texts are English, times are UTC or carry their zone.

**Logging in.** `Authorization: Token <token>`, which `manage.py api_token <user> --days 30` makes for a
user of the staff (`--revoke` ends all of that user); never in the address. Or the session of the admin,
whose changes take the header `X-CSRFToken`.

**Permissions** are those of the admin; each action names what it takes. Without `jobqueue.view_payload`
payloads are masked, and addresses in errors and reasons are hidden.

**Pages.** A list answers with `results` and `next`, the address of the next page, `null` behind the last
row; `limit` is 1 to 200 (50). Nothing is counted, and rows that arrive meanwhile neither repeat nor hide
others.

**Refusals** are problem documents (RFC 9457, `application/problem+json`): `code` is for programs, `detail`
for people, `errors` names fields and parameters. 400: it cannot be read; 422: it is read and cannot be;
409: it does not go with how things are; 429 and 503 come with `Retry-After`. A field or parameter that is
not known is refused by its name.

**Rates.** One user may read 1,200 times and change 240 times a minute in each web process, unless the site
says otherwise.
"""
TAGS: Final = [
    {"name": "queues", "description": "Counts, pause and limits of the queues."},
    {"name": "processors", "description": "Limits of the processors, and how much of them is used up."},
    {"name": "jobs", "description": "Jobs: found by words, changed by their verbs."},
    {"name": "causes", "description": "Failures by cause."},
    {"name": "bulk", "description": "Actions on many jobs, walked by the workers."},
    {"name": "workers", "description": "Who runs jobs, and what they are told to do."},
    {"name": "schedule", "description": "What runs when: delayed jobs by their time, days ahead."},
    {"name": "audit", "description": "What operators did: who, what, when and why."},
    {
        "name": "settlements",
        "description": "Who owes whom how much until when; decisions, reminders.",
    },
    {"name": "payments", "description": "Money towards settlements; each is added once for its key."},
    {"name": "people", "description": "Whether letters go out to a person; they are paused and resumed."},
    {"name": "emails", "description": "E-mails and what became of them."},
    {"name": "simulation", "description": "Which reminders would go out in the next days."},
    {"name": "root", "description": "The resources, with their addresses."},
]
