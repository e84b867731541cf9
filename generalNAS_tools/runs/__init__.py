"""A run: its flags and the options they become, its folder, log, clock and history, its exit code.

May import `files`, `data`, `networks` and `search_space`.
"""
