"""What the shop tells the console, and the page of an order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import (
    BoundedSearch,
    Concern,
    Finding,
    Groups,
    JobsPanelMixin,
    Preview,
    Result,
    Total,
    happenings_about,
    lists_finding,
    names_kinds,
    register_finding,
    sends_emails,
    sums_concerns,
    tells_concerns,
    tells_preview,
    tells_quiet_hours,
    tells_results,
)
from jobqueue.models import Job, JobQuerySet, subject_of
from jobqueue.operating import tell_also, tell_names
from tests.integration.shop.models import Order
from tests.integration.shop.processors import INVOICE, PACK

UNPACKED = "shop-unpacked"

names_kinds(PACK, "Packing", {"parcel": "big parcel"}, moves="The shop packs within a week.")
names_kinds(INVOICE, "Invoice of the shop")
sends_emails(PACK)
tell_also(r"shelf (?P<shelf>\d+)", _("shelf number %(shelf)s"))
tell_names("shop.order", r"Order of (?P<customer>.+)", _("what %(customer)s ordered"))


@admin.register(Order)
class OrderAdmin(JobsPanelMixin, BoundedSearch):
    """Orders, each with its jobs and its story."""

    list_display = ("customer", "packed")
    search_fields = ("customer",)
    change_form_template = "shop/order.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Order | None = None, **also: Any
    ) -> HttpResponse:
        """What happened to the order, the newest first, below its form."""
        if obj is not None:
            rows = happenings_about(obj, request, self.admin_site).rows
            context["story"] = sorted(rows, key=lambda row: row.at, reverse=True)
        return super().render_change_form(request, context, *args, obj=obj, **also)


@tells_quiet_hours("in which the shop sleeps")
def night(first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    """The shop sleeps from ten to six."""
    begin = first.astimezone(UTC).replace(hour=22, minute=0, second=0, microsecond=0) - timedelta(days=1)
    nights = []
    while begin < last:
        nights.append((begin, begin + timedelta(hours=8)))
        begin += timedelta(days=1)
    return nights


@register_finding
def unpacked(request: HttpRequest) -> Iterator[Finding]:
    """Orders that nobody packed."""
    if request.user.has_perm("shop.view_order") and (number := Order.objects.filter(packed=False).count()):
        url = reverse("admin:jobqueue_job_changelist", query={"finding": UNPACKED})
        yield Finding(95, f"{number} orders are not packed.", url, cure="Pack them.")


@lists_finding(UNPACKED, "jobs of orders that are not packed")
def jobs_of_unpacked(jobs: JobQuerySet) -> JobQuerySet:
    """The jobs that `unpacked` means."""
    orders = Order.objects.filter(packed=False)
    return jobs.filter(subject__in=[subject_of(order) for order in orders])


@tells_results(PACK)
def parcels(job: Job, request: HttpRequest) -> Iterator[Result]:
    """The parcel that was packed."""
    if request.user.has_perm("shop.view_order"):
        for order in Order.objects.filter(pk=job.payload["order_id"], packed=True):
            yield Result(f"Parcel for {order.customer}", state="completed", label="packed")


@tells_preview(PACK)
def letter(job: Job) -> list[Preview]:
    """What the customer reads."""
    order = Order.objects.get(pk=job.payload["order_id"])
    return [Preview(order.email, "Your order is packed", "It comes soon.", "<p>It comes <b>soon</b>.</p>")]


@tells_concerns
def of_orders(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
    """Who bought, and for how much."""
    if not request.user.has_perm("shop.view_order"):
        return {}
    keys = [key for label, _colon, key in (text.partition(":") for text in subjects) if label == "shop.order"]
    return {
        subject_of(order): Concern(frozenset({order.email}), (("EUR", _euros(order.cents)),))
        for order in Order.objects.filter(pk__in=keys)
    }


@sums_concerns(of_orders)
def sums_of_orders(groups: Groups, request: HttpRequest) -> dict[str, Total]:
    """The same of any number of orders."""
    if not request.user.has_perm("shop.view_order"):
        return {}
    statement, parameters = groups.numbers("shop.order")
    sql = (
        f"WITH about AS ({statement}) "
        "SELECT about.name, COUNT(DISTINCT sold.email), SUM(sold.cents), SUM(about.jobs) "
        "FROM about JOIN shop_order sold ON about.subject = 'shop.order:' || sold.id GROUP BY about.name"
    )
    with connections[groups.using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return {
            name: Total(people, (("EUR", _euros(int(cents))),), jobs=int(jobs))
            for name, people, cents, jobs in cursor.fetchall()
        }


def _euros(cents: int) -> Decimal:
    return (Decimal(cents) / 100).quantize(Decimal("0.01"))
