"""Settings: schema (frozen Structs), load (TOML with positions), check (cross rules).

The cross rules here see settings alone; those that need dialects, keys or routes are control/check.
"""
