"""One transaction's life, sans-IO: states, events, effects, ports, authorise, reverse, recover."""
