"""An app of another project, `shop`, with all that an app may tell the job queue and its console.

It is installed by `tests/integration/test_shop.py` in a project that has no settlements.
"""
