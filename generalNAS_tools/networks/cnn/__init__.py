"""The convolutional cells, their edges computed in batches.

May import `search_space`.
"""
