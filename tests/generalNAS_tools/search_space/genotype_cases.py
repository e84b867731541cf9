"""Random genotypes for the tests of the genotype's modules."""

from hypothesis import strategies as st

from generalNAS_tools.search_space.genotypes import CNN_PRIMITIVES, RHN_PRIMITIVES, Genotype


def genes(draw, primitives, nodes, inputs, per_node):
    """Pairs (primitive, state), distinct within a node."""
    found = []
    for node in range(nodes):
        pair = st.tuples(st.sampled_from(primitives[1:]), st.integers(0, inputs + node - 1))
        found += draw(st.lists(pair, min_size=per_node, max_size=per_node, unique=True))
    return found


@st.composite
def genotypes(draw):
    """Any genotype of the search space."""
    normal, reduce = (genes(draw, CNN_PRIMITIVES, 4, 2, 2) for _ in range(2))
    return Genotype.of(normal, reduce, genes(draw, RHN_PRIMITIVES, 8, 1, 1))


EXAMPLE = Genotype.of(
    [("sep_conv_15", 0), ("skip_connect", 1), ("conv_15", 0), ("max_pool_5", 2)] * 2,
    [("dil_conv_9", 1), ("avg_pool_5", 0), ("sep_conv_9", 2), ("dil_conv_15", 1)] * 2,
    [("tanh", 0), ("relu", 1), ("identity", 2), ("sigmoid", 0)] * 2,
)
