"""Pictures of cells, alphas and curves, as PNG files.

May import `search_space` and `files`.
"""
