"""Faces in pictures, and the 3DMM: detection, landmarks, shape, expression and pose.

May import `contract`, `errors` and `runtime`.
"""
