"""A walk over every page of the console and what the API reads, in the project that has the shop.

Run in a process of that project: `main` prints what was found as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import timedelta
from io import StringIO
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS

from jobqueue.admin import log_change
from jobqueue.jobs import enqueue
from jobqueue.models import AuditEntry, Cause, Job, Queue, Worker, subject_of
from jobqueue.testing import drain
from tests.integration.shop.models import Order
from tests.integration.shop.processors import INVOICE, PACK

ADMIN = "/admin/jobqueue/"
CAUSE = "ConnectionError: the printer is on fire"


def main() -> None:
    """Make some rows, look at everything, and print what was seen."""
    client, rows = Client(raise_request_exception=False), {}
    client.force_login(owner := get_user_model().objects.create_superuser("owner"))
    rows |= _orders()
    rows |= _rows_of_operators(client, owner)
    pages = {name: client.get(url) for name, url in _addresses(rows)}
    texts = {name: client.get(url).content.decode() for name, url in _told(rows)}
    found = {
        "installed": Group.objects.filter(name="Shop operator").exists(),
        "pages": {name: page.status_code for name, page in pages.items()},
        "texts": texts,
        "api": {url: _shown(client.get(f"/api/{url}")) for url in _api(rows)},
        "schema": _schema(client),
        "move": _shown(client.post(f"/api/jobs/{rows['waiting']}/move", _in_a_month(), "application/json")),
    }
    print(json.dumps(found))


def _orders() -> dict[str, Any]:
    """An order that is packed, one whose parcel waits, and one whose invoice failed."""
    packed, waits = (
        Order.objects.create(customer=name, email=f"{name.split()[0].lower()}@example.com", cents=cents)
        for name, cents in (("Ada Lovelace", 1250), ("Grace Hopper", 2050))
    )
    Job.objects.about(waits).update(run_at=timezone.now() + timedelta(days=2))
    failing = enqueue(INVOICE, order_id=waits.pk, subject=waits)
    drain(retries=False)
    Order.objects.bulk_create([Order(customer="Mary Shelley", email="mary@example.com", cents=100)])
    call_command("jobqueue_reconcile")
    return {
        "order": waits.pk,
        "packed": packed.pk,
        "done": Job.objects.about(packed).get().pk,
        "waiting": Job.objects.about(waits).get(processor=PACK).pk,
        "failed": failing.pk,
    }


def _rows_of_operators(client: Client, owner: Any) -> dict[str, Any]:
    """A worker, a pause, a bulk action, and what the shop writes into the audit."""
    Queue.objects.get_or_create(name="default")
    Cause.objects.create(name=CAUSE)
    worker = Worker.objects.create(
        name="packer", hostname="cellar", pid=7, queues=["default"], takes_orders=True
    )
    active, stuck = (enqueue(PACK, order_id=0, size="letter").pk for _number in range(2))
    running = {"state": Job.State.ACTIVE, "started_at": Now(), "deadline_at": Now() + timedelta(hours=1)}
    Job.objects.filter(pk__in=(active, stuck)).update(**running)
    Job.objects.filter(pk=active).update(worker_id=worker.pk)
    begun = client.post("/api/bulk/", {"verb": "hold", "search": "about:Mary"}, "application/json").json()
    request = type("Request", (), {"user": owner})()
    log_change(request, Order.objects.earliest("pk"), "Pack: shelf 7")  # type: ignore[arg-type]
    audit = AuditEntry.objects.latest("pk").pk
    return {"worker": worker.pk, "bulk": begun["id"], "audit": audit, "active": active, "stuck": stuck}


# Addresses --------------------------------------------------------------------------------------------


def _addresses(rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every address of the console, about what there is."""
    day = timezone.localtime(timezone.now() + timedelta(days=2)).date().isoformat()
    keys = {
        "jobqueue_auditentry": rows["audit"],
        "jobqueue_bulkaction": rows["bulk"],
        "jobqueue_cause": CAUSE,
        "jobqueue_charts": 1,
        "jobqueue_failedjob": rows["failed"],
        "jobqueue_job": rows["waiting"],
        "jobqueue_processorlimits": PACK,
        "jobqueue_queue": "default",
        "jobqueue_job_stop": rows["active"],
        "jobqueue_setasidejob": rows["failed"],
        "jobqueue_stuckjob": rows["stuck"],
        "jobqueue_worker": rows["worker"],
        "shop_order": rows["order"],
    }
    special = {
        "app_list": ["jobqueue"],
        "jobqueue_job_calendar_day": [day],
        "jobqueue_job_calendar_change": [day, "hold"],
        "jobqueue_job_letter": [rows["waiting"], 0],
    }
    for name in sorted({str(one.name) for one in _patterns(get_resolver())}):
        if name in special:
            yield name, reverse(f"admin:{name}", args=special[name])
        elif name == "index":
            yield name, reverse("admin:index")
        elif name.startswith(("jobqueue_", "shop_")):
            yield name, _address(name, keys.get(name, keys.get(name.rpartition("_")[0])))


def _address(name: str, key: Any) -> str:
    try:
        return reverse(f"admin:{name}")
    except Exception:
        return reverse(f"admin:{name}", args=[key])


def _patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from _patterns(one)
        elif isinstance(one, URLPattern):
            yield one


def _told(rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The pages where the shop has something to say, by what it is."""
    waiting = f"{ADMIN}job/{rows['waiting']}/"
    yield "finding", ADMIN
    yield "listed finding", f"{ADMIN}job/?finding=shop-unpacked"
    yield "source", f"{ADMIN}job/?q=Hopper"
    yield "subject", f"{waiting}change/"
    yield "preview", f"{waiting}preview/"
    yield "result", f"{ADMIN}job/{rows['done']}/change/"
    yield "kind", f"{ADMIN}job/calendar/"
    yield "concern", f"{ADMIN}cause/concerned/"
    yield "audit", f"{ADMIN}auditentry/"
    yield "name", f"{ADMIN}auditentry/"
    yield "story", f"/admin/shop/order/{rows['packed']}/change/"
    yield "panel", f"/admin/shop/order/{rows['order']}/change/"
    yield "address", f"{ADMIN}job/?q=email:grace@example.com"


def _api(rows: dict[str, Any]) -> Iterator[str]:
    """What the API reads."""
    yield from ("queues/", "processors/", "jobs/", "causes/", "bulk/", "workers/", "schedule/", "audit/")
    yield from (f"jobs/{rows['waiting']}", f"jobs/{rows['failed']}", f"jobs/{rows['waiting']}/preview")
    yield from (f"bulk/{rows['bulk']}", "schedule/days/", "jobs/?search=Hopper", "schema/")
    yield "bulk/plan/?verb=cancel&search=queue:default"
    yield f"jobs/?search=about:{subject_of(Order(pk=rows['order']))}"


def _schema(client: Client) -> dict[str, Any]:
    """The version of the schema, what it has, and what was warned of while it was made."""
    with redirect_stderr(StringIO()):
        GENERATOR_STATS.reset()
        document = client.get("/api/schema/").json()
        warned_of = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    return {
        "version": document["openapi"],
        "paths": list(document["paths"]),
        "forms": list(document["components"]["schemas"]),
        "warnings": warned_of,
    }


def _in_a_month() -> dict[str, str]:
    return {"run_at": (timezone.now() + timedelta(days=30)).isoformat()}


def _shown(response: HttpResponse) -> tuple[int, str]:
    """The status, and what was said."""
    return response.status_code, response.content.decode()
