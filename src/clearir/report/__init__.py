"""Scores in, pictures and tables out; no model is loaded here."""

from __future__ import annotations

from clearir.report.direction_table import DirectionTable, direction_table
from clearir.report.load import Run, load_run, load_scores
from clearir.report.model_card import model_card
from clearir.report.write import write_report

__all__ = ["DirectionTable", "Run", "direction_table", "load_run", "load_scores", "model_card", "write_report"]
