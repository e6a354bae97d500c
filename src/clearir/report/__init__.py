"""Scores in, pictures and tables out; no model is loaded here."""
