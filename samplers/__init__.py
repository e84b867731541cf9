"""Samplers that propose architectures: random and evolutionary."""
