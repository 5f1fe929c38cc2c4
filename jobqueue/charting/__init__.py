"""The charts: what ended when, from Redis and from the hours that are kept; folded from one to the other."""
