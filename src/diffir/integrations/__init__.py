"""Adapters that make DiffIR usable in other programs."""
