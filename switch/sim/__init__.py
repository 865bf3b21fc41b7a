"""Simulated issuers and terminals; separate processes that talk TCP like anyone else."""
