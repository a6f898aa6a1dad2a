"""What the benchmarks of Redis ask is what the scripts take."""

import pytest

from loadtests.bench import direct


@pytest.mark.parametrize("keyed", [True, False])
async def test_batches_are_those_of_the_scripts(keyed: bool) -> None:
    async with direct.running("valkey") as server:
        await server.publish("small", capacity=3)
        for batch, expected in zip(
            direct.sign_ups(5, 3, keyed=keyed), ("confirmed", "sold_out"), strict=True
        ):
            await server.sign_up("small", batch, expected)
