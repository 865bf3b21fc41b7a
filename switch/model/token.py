"""States and domains of tokens.

Absent for now: it comes with the tokens (switch/tokens). Its place is here, because settings,
engine and services all speak of them.
"""
