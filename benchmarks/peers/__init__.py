"""The networks that the paper compares with, from packages, in an environment of their own."""
