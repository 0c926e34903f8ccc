"""The command line, the web page, the benchmark and the doctor.

May import `adapters`, `avatar` and what those may.
"""
