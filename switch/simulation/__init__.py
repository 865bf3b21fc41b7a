"""The whole switch in a seeded world: clock, network, disk, rude peers. One seed is one run."""
