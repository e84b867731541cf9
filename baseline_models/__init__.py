"""The published networks that the found architectures are compared with."""
