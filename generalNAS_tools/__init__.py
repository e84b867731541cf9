"""The trunk: search space, networks, data, training loop and run directory."""
