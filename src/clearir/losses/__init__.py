"""The CLEAR losses: terms on score matrices, packing of columns, and the modules a Trainer takes."""
