"""Who is in a world besides the node: banks, acquirers, a gateway."""

from typing import TYPE_CHECKING, Final

from switch.simulation.acquirer import Acquirer
from switch.simulation.gateway import Gateway
from switch.simulation.ground import ACQUIRER_PORT, BANK_PORT, acquirer_code
from switch.simulation.issuer import Bank
from switch.simulation.plan import noise
from switch.simulation.wallet import TOKEN_PREFIX

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["acquirers_of", "banks_of", "gateway_of"]

MS: Final = 1e-3


def gateway_of(world: "World") -> Gateway | None:
    """In worlds with orders, with a vault of its own."""
    if not world.plan.orders:
        return None
    rng = noise(world.plan, "gateway")
    return Gateway(
        world.loop,
        world.ground.tokens.copy(),
        TOKEN_PREFIX,
        world.ground.keys,
        lambda: world.wall_ns() // 1_000_000,
        lambda: (0.2 + rng.random()) * MS,
        lambda: 0.05 + 0.2 * rng.random(),
        world.note,
    )


def banks_of(world: "World") -> dict[str, Bank]:
    """By name."""
    return {
        f"BANK{index:02d}": Bank(
            world.plan,
            f"BANK{index:02d}",
            world.network,
            world.ground.dialect,
            ("127.0.0.1", BANK_PORT + index),
            world.choices,
        )
        for index in range(world.plan.banks)
    }


def acquirers_of(world: "World") -> list[Acquirer]:
    """In the order of their numbers."""
    return [
        Acquirer(
            world.plan,
            index,
            acquirer_code(index),
            world.network,
            world.ground.dialect,
            ("127.0.0.1", ACQUIRER_PORT + index),
            lambda: world.wall_ns() // 1_000_000_000,
            world.asked,
            world.wallet,
        )
        for index in range(world.plan.acquirers)
    ]
