"""A Django app of processors that do something countable, for tests on real workers."""
