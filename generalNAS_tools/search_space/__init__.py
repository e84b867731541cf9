"""The search space: primitives and kinds of cells, genotypes, edges and masks, mixing weights.

Imports nothing of the project; everything else may import it.
"""
