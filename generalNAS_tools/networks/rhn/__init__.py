"""The recurrent highway cell: states planned, then computed by hand-written or compiled kernels.

In evaluation `SearchRHN` normalises by running statistics, or by the batch where
`training.train_loop` (--rhn_statistics) says so. May import `search_space`.
"""
