"""What the tests of settlements have in common."""

import django

# Django 6 takes the arguments of save() by name alone.
collect_ignore = ["test_fields_by_position.py"] if django.VERSION >= (6, 0) else []
