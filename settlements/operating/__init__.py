"""What operators do about settlements, payments and people's letters, whichever face they use.

The admin's pages and the API stay thin over this room, and neither knows of the other.
"""
