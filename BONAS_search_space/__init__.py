"""Graph encoding of the architectures that genomeBONAS searches."""
