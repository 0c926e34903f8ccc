"""Live sessions as parts of agent frameworks, which are not dependencies: import what you use.

May import `session` and what that may.
"""
