"""Training: a step, an epoch, optimizers, metrics and the test's report.

`final_training` trains to the end, with early stopping. May import every other room.
"""
