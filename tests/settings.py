"""The site's settings for the tests, with processors that the tests can watch."""

import json
import os

from spendsync_site.settings import *  # noqa: F403 - the site's settings, extended
from spendsync_site.settings import INSTALLED_APPS as SITE_APPS
from spendsync_site.settings import JOBQUEUE as SITE_JOBQUEUE

# The tests compare English texts, whatever the language of the machine.
LANGUAGE_CODE = "en"

INSTALLED_APPS = [*SITE_APPS, "tests.workload"]

# Nobody guesses the passwords of test users; a slow hash would take most of the suite's time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The tests speak HTTP, and log in as often as they like; what is secure by default has tests of its own.
SECURE_SSL_REDIRECT = False
AXES_ENABLED = False

# Two cores that four test processes and their workers share may keep a Redis in good health from answering
# within the 0.04 s that a save waits for it; what is then left to the relay would wait in vain without one.
# The same processes must not keep executors from the jobs for which tests wait.
PATIENT = {"PUBLISH_TIMEOUT": 1.0, "NICENESS": 0}
# What a test changes for its workers only: worker_process(TEST_JOBQUEUE='{"TIMEOUT_GRACE": 1}').
JOBQUEUE = SITE_JOBQUEUE | PATIENT | json.loads(os.environ.get("TEST_JOBQUEUE", "{}"))

# A project that says nothing of its log, or everything itself.
if os.environ.get("TEST_LOGGING"):
    LOGGING = json.loads(os.environ["TEST_LOGGING"])

# Where the workload notes its effects: a Redis that no test stops or flushes half-way. Workers on a
# private Redis are told of it through the environment.
WORKLOAD_REDIS_URL = os.environ.get("WORKLOAD_REDIS_URL") or (
    f"redis://{os.environ['REDIS_HOST']}:{os.environ['REDIS_PORT']}/2"
)
