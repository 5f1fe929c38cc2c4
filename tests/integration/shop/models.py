"""What the shop sells."""

from __future__ import annotations

from django.db import models

from jobqueue.models import AtomicSaveMixin


class Order(AtomicSaveMixin):
    """Something that was bought, and is to be packed."""

    id = models.BigAutoField(primary_key=True)
    customer = models.CharField(max_length=100)
    email = models.EmailField()
    cents = models.PositiveIntegerField()
    packed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"Order of {self.customer}"
