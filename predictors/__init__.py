"""Networks that predict the score of an architecture from its graphs, and their losses."""
