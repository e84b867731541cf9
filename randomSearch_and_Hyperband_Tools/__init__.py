"""Random architectures, successive halving and Hyperband, and OSP-NAS's masks and rounds.

What OSP-NAS may remove is in `osp_masks`.
"""
