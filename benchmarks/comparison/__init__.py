"""Comparing searches: the plan, the runs (here or on a cluster) and the report made of them.

May import everything but the scripts, which it starts as processes.
"""
