"""The demo: the whole site on one machine, with a Redis, a mail server and a payment provider of its own."""
