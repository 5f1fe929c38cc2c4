"""The WSGI application of the SpendSync site."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendsync_site.settings")

application = get_wsgi_application()
