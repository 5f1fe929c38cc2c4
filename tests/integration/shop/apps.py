"""Wires the shop when Django starts."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Orders."""

    name = "tests.integration.shop"
    label = "shop"
    verbose_name = "Shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Saves become jobs; orders are found; parcels move within a week."""
        from jobqueue.rules import enqueue_on_save
        from jobqueue.searching import RecordSource, register_source
        from jobqueue.signals import job_moving
        from tests.integration.shop import records
        from tests.integration.shop.models import Order
        from tests.integration.shop.processors import PACK

        def payload(order: Order) -> dict[str, Any]:
            return {"order_id": order.pk, "size": "parcel"}

        enqueue_on_save(Order, PACK, fields=["customer"], payload=payload)
        source = RecordSource(
            "shop.orders",
            "Orders of the shop",
            "shop.view_order",
            records.find_orders,
            records.with_addresses,
        )
        register_source(source)
        job_moving.connect(records.refuse_late_parcels, dispatch_uid="shop.moving")
