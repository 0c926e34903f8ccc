"""Files, streams and devices, in and out: photos, sound, video.

May import `checks`, `contract` and `errors`.
"""
