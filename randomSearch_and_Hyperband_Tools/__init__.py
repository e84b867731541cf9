"""Random architectures, successive halving and Hyperband, and the masks of OSP-NAS."""
