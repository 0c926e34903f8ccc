"""Kinds of bad inputs, and the message that each gets: ``python -m fuzz.bad_inputs``."""
