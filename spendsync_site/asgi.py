"""The ASGI application of the SpendSync site."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendsync_site.settings")

application = get_asgi_application()
