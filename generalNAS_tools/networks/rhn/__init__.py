"""The recurrent highway cell: its states planned, computed by hand-written kernels.

May import `search_space`.
"""
