"""The measures: each runs one peer once and returns its figures by name."""
