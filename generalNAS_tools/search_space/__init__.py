"""The search space: primitives and kinds of cells, genotypes, edges and masks.

Also the type of mixing weights, which alphas or masks become elsewhere. Imports nothing of the
project; everything else may import it.
"""
