"""Questions to a payment provider."""

from __future__ import annotations

import pytest

from settlements.gateways import (
    GatewayUnavailable,
    HttpGateway,
)
from settlements.models import Payment


def unavailable(gateway: HttpGateway, payment: Payment) -> GatewayUnavailable:
    with pytest.raises(GatewayUnavailable) as raised:
        gateway.status_of(payment)
    return raised.value
