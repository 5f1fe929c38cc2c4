"""`/api/simulation/`: which reminders would go out in the next days; nothing is written or sent."""

from __future__ import annotations

from typing import Any, Final

from django.db import router
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet
from jobqueue.api.bodies import StrictQuery, read_query
from jobqueue.api.paging import Cursor, address_behind, no_cursor, read_cursor, stored_text
from jobqueue.api.problems import BadQuery
from jobqueue.api.shapes import as_one, described
from jobqueue.jobs import database_now
from settlements.models import Settlement
from settlements.operating.tried_policy import TRIED, tried
from settlements.simulation import MOST, SimulatedDay, Simulation, simulate

DAYS: Final = 30
_IN_PLACE = "Days such as `3, 7, 14` in place of those of the policy, counted from"


class SimulationQuery(StrictQuery):
    """How many days, and by which policy."""

    days = serializers.IntegerField(required=False, min_value=1, max_value=DAYS, default=DAYS)
    follow_up = serializers.CharField(required=False, max_length=200, help_text=f"{_IN_PLACE} the beginning.")
    overdue = serializers.CharField(required=False, max_length=200, help_text=f"{_IN_PLACE} the due date.")
    cursor = Cursor()


class SimulatedDayLine(serializers.Serializer[Any]):
    """What would go out on a day."""

    day = serializers.DateField()
    letters = serializers.DictField(child=serializers.IntegerField(), help_text="By stage.")
    people = serializers.IntegerField(help_text="To how many of this page.")
    held = serializers.IntegerField(help_text="So many more are held, and go out when they are released.")


@as_one
class SimulationShown(serializers.Serializer[Any]):
    """The days, as far as the settlements of this page go: the sum of all pages is the whole."""

    next = serializers.URLField(allow_null=True, help_text="The next page; null behind the last settlement.")
    zone = serializers.CharField(help_text="That of the days.")
    settlements = serializers.IntegerField(help_text=f"Looked at on this page, {MOST} at most, by payer.")
    days = SimulatedDayLine(many=True)


@extend_schema_view(
    list=described(
        "The reminders of the next days, simulated on the rows as they are",
        SimulationShown,
        query=SimulationQuery,
        codes={400: (BadQuery.default_code,)},
    )
)
class SimulationViewSet(OperatorViewSet):
    """The simulation of reminders."""

    needs = {"list": ("settlements.view_settlement",)}

    def list(self, request: Request) -> Response:
        """A page of it."""
        asked = read_query(SimulationQuery, request)
        policy, refused = tried({name: asked[name].strip() for name in TRIED if name in asked})
        if refused:
            raise BadQuery({name: [f"Allowed are {allowed}."] for name, allowed in refused.items()})
        found = _simulated(policy, asked)
        return Response(
            {
                "next": address_behind(request, [found.next_key]) if found.next_key else None,
                "zone": policy.time_zone.key,
                "settlements": found.settlements,
                "days": [_day(one) for one in found.days],
            }
        )


def _simulated(policy: Any, asked: dict[str, Any]) -> Simulation:
    using = router.db_for_read(Settlement)
    after = read_cursor(asked["cursor"], stored_text)[0] if "cursor" in asked else ""
    try:
        return simulate(policy, database_now(using), asked["days"], using, after)
    except (ValueError, OverflowError):
        raise no_cursor() from None


def _day(one: SimulatedDay) -> dict[str, Any]:
    return {
        "day": one.day.isoformat(),
        "letters": dict(one.letters),
        "people": len(one.people),
        "held": one.held,
    }
