"""The WSGI application of the SpendSync site."""

import os

from django.core.wsgi import get_wsgi_application

from spendsync_site.warm import warm_up

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendsync_site.settings")

application = get_wsgi_application()
warm_up()
