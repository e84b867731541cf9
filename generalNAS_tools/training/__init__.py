"""Training: a step, an epoch, optimizers, metrics, training to the end and the test's report.

May import every other room.
"""
