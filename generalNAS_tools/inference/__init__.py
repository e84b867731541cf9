"""What trained networks say about DNA: sequences, variants and mutations as tables.

Above `load_model` and `data_generators`; only the public scripts import it.
"""
