"""Tokens: states, domains, the vault and the index that is made from it.

`service` carries out `orders`; `books` keeps vault and index equal. See docs/guides/tokens.md.
"""
