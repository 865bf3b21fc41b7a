"""Ceilings per card, token, terminal and merchant, checked between verdict and route.

Absent for now: it comes with the tokens, whose limits it counts. Its place in the walk is
`Engine.request`, after the verdict, and its counters are rebuilt from the journal.
"""
