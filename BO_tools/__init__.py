"""Bayesian sigmoid regression, the surrogate, proposals; training and scoring of subnets."""
