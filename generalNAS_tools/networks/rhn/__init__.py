"""The recurrent highway cell: its states planned, computed by hand-written kernels.

In evaluation `SearchRHN` normalises by running statistics, or by the batch where
`training.train_loop` (--rhn_statistics) says so. May import `search_space`.
"""
