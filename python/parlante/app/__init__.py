"""The command line, the web page, the benchmark and the doctor.

May import `avatar` and what that may.
"""
