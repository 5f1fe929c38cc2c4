"""The jobs of the shop."""

from __future__ import annotations

from jobqueue.jobs import Skipped, TypeCounter, enqueue, processor, reconciler
from jobqueue.models import Job
from tests.integration.shop.models import Order

PACK, INVOICE = "shop.pack", "shop.invoice"


@processor(
    PACK,
    queue="default",
    counter=TypeCounter("shop_packed_total", payload_key="size", known=("parcel", "letter")),
)
def pack(order_id: int, size: str) -> Skipped | None:
    """Pack an order."""
    order = Order.objects.get(pk=order_id)
    if order.packed:
        return Skipped("order already packed")
    order.packed = True
    order.save()
    return None


@processor(INVOICE, queue="default", retry=0)
def invoice(order_id: int) -> None:
    """Print an invoice, on a printer that is none."""
    raise ConnectionError("the printer is on fire")


@reconciler("shop")
def pack_what_was_left(*, full: bool) -> dict[str, int]:
    """Orders that nobody saved by `save()` have a job too."""
    orders = [order for order in Order.objects.filter(packed=False) if not Job.objects.about(order).exists()]
    for order in orders:
        enqueue(PACK, order_id=order.pk, size="parcel", subject=order, unique_key=f"pack:{order.pk}")
    return {"orders": len(orders)}
