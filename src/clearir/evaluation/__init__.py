"""Scores in every direction, and whether a difference between two models is real."""
