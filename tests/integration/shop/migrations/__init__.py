"""The tables of the shop, and its group of operators."""
