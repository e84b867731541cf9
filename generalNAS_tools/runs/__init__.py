"""A run: its flags and the options they become, its folder, log, clock, history and exit code.

How it goes on after an interruption is in `run_directory` and `position`. May import `files`,
`data`, `networks` and `search_space`.
"""
