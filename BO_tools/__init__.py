"""Bayesian sigmoid regression, acquisition functions, the surrogate and its proposals."""
