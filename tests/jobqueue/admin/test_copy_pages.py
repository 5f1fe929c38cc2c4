"""The page that copies a job: who may, what it says before, what is refused beside which field."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobqueue.models import AuditEntry, Job
from tests.jobqueue.admin.steps import JOBS, entries_of, make_job, operator, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def copy_page(job: Job) -> str:
    return f"{JOBS}{job.pk}/copy/"


def send(client: Client, job: Job, **fields: Any) -> Any:
    """What follows the filled form: the page of the copy, or the form with what was wrong."""
    return client.post(copy_page(job), {"reason": "wrong order", "seen": "0", **fields}, follow=True)


def problems(client: Client, job: Job, **fields: Any) -> dict[str, str]:
    """What is said beside the fields; nothing was enqueued then."""
    found: dict[str, str] = send(client, job, **fields).context["problems"]
    assert Job.objects.count() == 1
    return found


def test_the_form_shows_the_payload_and_says_what_will_happen(admin_client: Client) -> None:
    job = make_job("failed", payload={"marker": "ü"}, unique_key="once", processor="email.notification")
    text = text_of(admin_client.get(copy_page(job)))
    assert "{\n  &quot;marker&quot;: &quot;ü&quot;\n}</textarea>" in text
    assert "up to 1 e-mail" in text and "unique key once" in text and "enqueued to email" in text


def test_a_copy_is_made_and_stands_on_both_pages(admin_client: Client) -> None:
    job = make_job("failed", payload={"marker": "a"})
    page = text_of(send(admin_client, job, payload='{"marker": "b"}'))
    copy = Job.objects.get(copied_from=job.pk)
    assert copy.payload == {"marker": "b"}
    assert f"Job #{copy.pk} was enqueued as a copy of job #{job.pk}." in page
    assert f'<dt>Copied from</dt><dd><a href="{page_of(job)}">' in page
    assert f'<dt>Copied as</dt><dd><a href="{page_of(copy)}">' in text_of(admin_client.get(page_of(job)))


def test_it_is_written_down_on_both_jobs_and_once_in_the_audit(admin_client: Client) -> None:
    job = make_job("failed", payload={"marker": "a"})
    send(admin_client, job, payload='{"marker": "b"}')
    copy = Job.objects.get(copied_from=job.pk)
    said = f"Copy: job #{job.pk} → job #{copy.pk}, with another marker. Reason: wrong order"
    assert (entries_of(job), entries_of(copy)) == ([said], [said])
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.reason, entry.job_ids) == ("Copy", "wrong order", [job.pk, copy.pk])


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"marker": }', "line 1, column 12"),
        ('{"marker": 1, "marker": 2}', "marker stands there twice"),
        ("[1]", "in curly braces"),
        ("", "This is no JSON"),
        ('{"marker": NaN}', "no valid JSON"),
        ('{"nobody_takes": 1}', "sample.takes_a_number does not take this payload"),
        ('{"number": "•••"}', "what is hidden"),
        ("[" * 100_000, "This is no JSON"),
        ('{"marker": ' + "9" * 5_000 + "}", "This is no JSON"),
    ],
)
def test_what_is_wrong_with_the_payload_stands_beside_it(
    admin_client: Client, payload: str, said: str
) -> None:
    job = make_job(payload={"number": 1}, processor="sample.takes_a_number")
    assert said in problems(admin_client, job, payload=payload)["payload"]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"marker": }', "Das ist kein JSON: ein Wert wird erwartet in Zeile 1, Spalte 12."),
        (
            "{",
            "Das ist kein JSON: ein Name in doppelten Anführungszeichen wird erwartet in Zeile 1, Spalte 2.",
        ),
        ('{"a" 1}', "Das ist kein JSON: ein „:“ wird erwartet in Zeile 1, Spalte 6."),
        ("{} {}", "Das ist kein JSON: etwas steht hinter dem Ende, in Zeile 1, Spalte 4."),
        ("[" * 100_000, "Das ist kein JSON: es ist zu tief verschachtelt."),
        ("9" * 5_000, "Das ist kein JSON: eine Zahl darin hat mehr als 4300 Stellen."),
        (
            '{"number": "\\u0000"}',
            "die Nutzdaten haben ein NUL-Zeichen, das die Datenbank nicht speichern kann.",
        ),
        (
            '{"number": NaN}',
            "die Nutzdaten sind kein gültiges JSON: eine Zahl darin ist unendlich oder keine.",
        ),
        ('{"number": 1, "else": 2}', "ein Argument 'else' gibt es nicht. Sie nimmt (number: 'int')"),
        ("{}", "das Argument 'number' fehlt. Sie nimmt (number: 'int')"),
    ],
)
def test_what_is_wrong_with_the_payload_is_said_in_the_language_of_the_reader(
    admin_client: Client, payload: str, said: str
) -> None:
    job = make_job(payload={"number": 1}, processor="sample.takes_a_number")
    page = admin_client.post(
        copy_page(job),
        {"reason": "wrong", "seen": "0", "payload": payload},
        headers={"Accept-Language": "de"},
    )
    assert said in page.context["problems"]["payload"]


def test_a_refused_payload_stays_in_its_field(admin_client: Client) -> None:
    text = text_of(send(admin_client, make_job(), payload="{<marker>}"))
    assert 'aria-invalid="true">\n{&lt;marker&gt;}</textarea>' in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_at", "soon"),
        ("run_at", "2020-01-31T09:00"),
        ("reason", " "),
        ("reason", "x" * 501),
        ("reason", "\x00"),
    ],
)
def test_what_is_wrong_with_another_field_stands_beside_that(
    admin_client: Client, field: str, value: str
) -> None:
    assert list(problems(admin_client, make_job(), **{field: value})) == [field]


def test_a_second_click_makes_no_second_copy(admin_client: Client) -> None:
    job = make_job("failed")
    send(admin_client, job)
    refused = send(admin_client, job)
    assert "was copied meanwhile" in refused.context["problems"]["all"]
    assert Job.objects.filter(copied_from=job.pk).count() == 1
    send(admin_client, job, seen=refused.context["seen"])
    assert Job.objects.filter(copied_from=job.pk).count() == 2


def test_a_held_unique_key_is_named(admin_client: Client) -> None:
    job = make_job(unique_key="once")
    assert f"job {job.pk} waits" in problems(admin_client, job)["all"]


def test_who_may_not_read_payloads_copies_them_unseen_and_edits_none() -> None:
    job = make_job("failed", payload={"marker": "secret"})
    client = operator("view_job", "copy_job")
    text = text_of(client.get(copy_page(job)))
    assert "secret" not in text and 'name="payload"' not in text
    assert client.post(copy_page(job), {"payload": "{}", "reason": "x", "seen": "0"}).status_code == 403
    assert "secret" not in text_of(send(client, job))
    assert Job.objects.get(copied_from=job.pk).payload == {"marker": "secret"}


@pytest.mark.parametrize("permissions", [["view_job"], ["copy_job"], ["view_job", "view_payload"]])
def test_who_may_not_copy_is_refused(permissions: list[str]) -> None:
    job, client = make_job("failed"), operator(*permissions)
    assert client.get(copy_page(job)).status_code == 403
    assert client.post(copy_page(job), {"reason": "x", "payload": "{}"}).status_code == 403
    assert Job.objects.count() == 1


@pytest.mark.parametrize("key", ["4711", "x", "9" * 30])
def test_a_job_that_is_not_there_is_not_found(admin_client: Client, key: str) -> None:
    assert admin_client.get(f"{JOBS}{key}/copy/").status_code == 404


def test_the_form_escapes_what_a_payload_says(admin_client: Client) -> None:
    evil = "</textarea><script>alert(1)</script>"
    job = make_job(payload={"marker": evil}, subject=evil, processor=evil, unique_key=evil)
    assert "<script>alert" not in text_of(admin_client.get(copy_page(job)))


@pytest.mark.parametrize("page", ["copy", "move"])
def test_a_reason_that_is_required_is_labelled_so(admin_client: Client, page: str) -> None:
    found = text_of(admin_client.get(f"{JOBS}{make_job('delayed').pk}/{page}/"))
    assert '<label for="jq-reason">Reason (required)</label>' in found
