"""What the groups of operators hold after all migrations, and people who are in them."""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client

from jobqueue.operators import Finer, Groups, add_groups

MADE = import_module("jobqueue.migrations.0009_operators").GROUPS
FINER = import_module("jobqueue.migrations.0022_verbs_of_operators").FINER
OF_PROCESSORS = import_module("jobqueue.migrations.0025_limits_of_processors").FINER
MORE = import_module("settlements.migrations.0009_view_person").MORE


def _now(made: Groups, *changes: Finer) -> Groups:
    for finer in changes:
        made = {
            group: [*dict.fromkeys([*names, *(one for name in names for one in finer.get(name, ()))])]
            for group, names in made.items()
        }
    return made


GROUPS = _now(MADE, FINER, OF_PROCESSORS)
OF_MONEY = {
    group: [*names, *MORE.get(group, ())]
    for group, names in _now(
        import_module("settlements.migrations.0005_operators").GROUPS,
        import_module("settlements.migrations.0007_verbs_of_operators").FINER,
    ).items()
}
VIEWERS = ("Job viewer",)
OPERATORS = ("Job operator", "Settlement operator")


def member_of(*groups: str, username: str = "member") -> Client:
    """A client of a staff user who is in these groups and holds nothing else.

    They are as migrations made them; where a test emptied the tables, they are made again.
    """
    add_groups(apps, "jobqueue", GROUPS, "default")
    add_groups(apps, "settlements", OF_MONEY, "default")
    user = User.objects.create_user(username, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client
