"""Live sessions as parts of agent frameworks, which are not dependencies: import what you use.

May import `avatar` and what that may.
"""
