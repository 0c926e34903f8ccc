"""One person, encoded once and kept: photo, matte, background, fit, manner.

May import `face`, `media`, `speech` (its numbers) and what those may.
"""
