"""Files, streams and devices, in and out: photos, sound, video.

May import `contract` and `errors`.
"""
