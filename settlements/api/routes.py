"""The addresses of this app's part of the API, to be included under `api/`."""

from __future__ import annotations

from jobqueue.api.root import Router
from settlements.api.people import PersonViewSet
from settlements.api.simulation import SimulationViewSet
from settlements.api.views import EmailViewSet, PaymentViewSet, SettlementViewSet

router = Router()
router.register("settlements", SettlementViewSet, basename="api-settlements")
router.register("payments", PaymentViewSet, basename="api-payments")
router.register("people", PersonViewSet, basename="api-people")
router.register("simulation", SimulationViewSet, basename="api-simulation")
router.register("emails", EmailViewSet, basename="api-emails")
urlpatterns = router.urls
