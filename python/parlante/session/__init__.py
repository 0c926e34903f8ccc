"""Sound in, frames out, on one clock: the engine and live sessions.

May import `provenance`, `render`, `speech` and what those may.
"""
