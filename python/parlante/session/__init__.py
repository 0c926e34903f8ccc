"""Sound in, frames out, on one clock: the engine and live sessions.

May import `render`, `speech` and what those may.
"""
