"""The benchmark of durabilities gets a seat for every sign-up, in each of them."""

from loadtests.bench import durability


async def test_every_durability_is_measured() -> None:
    told = await durability.measure("valkey", callers=4, requests=20, rounds=1)
    names = {mode.name for mode in durability.MODES}
    assert told["seats_per_s"].keys() == told["latency_ms"].keys() == told["of_fsync"].keys() == names
    assert all(told["seats_per_s"].values())
    assert told["of_fsync"]["fsync"] == 1
