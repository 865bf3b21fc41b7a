"""A network between two peers that fails on purpose: TCP in the middle, and what it does to it.

`rule` says what is done to which bytes, `frame` cuts a stream into frames and changes fields in
place, `pipe` is one direction of one connection, `relay` listens and joins two pipes to a
connection. Everything is drawn from one seed. It knows messages only as far as a rule asks: without
a dialect it works on bytes alone, so that TLS and foreign protocols pass through it too.
"""

from switch.sim.network.relay import Relay
from switch.sim.network.rule import Direction, Fault, Rule, parse_rule

__all__ = ["Direction", "Fault", "Relay", "Rule", "parse_rule"]
