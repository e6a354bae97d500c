"""Readers: one module a kind of source, each an iterable of rows."""
