"""Sound to motion: decoding, voice activity, lips, head and lids.

May import `media`, `runtime` and what those may.
"""
