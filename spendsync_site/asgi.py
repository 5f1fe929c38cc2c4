"""The ASGI application of the SpendSync site."""

import os

from django.core.asgi import get_asgi_application

from spendsync_site.warm import warm_up

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendsync_site.settings")

application = get_asgi_application()
warm_up()
