"""Files: written whole or not at all, read without running anything.

Checkpoints, genotype files (ours and those of 2021) and model files. May import `search_space`
and `networks`.
"""
