"""One person, encoded once and kept: photo, matte, background, fit, manner.

May import `face`, `media`, `speech` and what those may.
"""
