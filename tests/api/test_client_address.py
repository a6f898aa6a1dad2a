"""Where a request comes from, whatever clients and proxies write into X-Forwarded-For."""

from ipaddress import ip_address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client_address import ClientAddresses
from engine.config import networks

PROXY: Final = "10.0.0.1"
ADDRESSES: Final = ClientAddresses(networks("10.0.0.0/8, ::1/128,2001:db8:f::/48"))


def key(text: str) -> bytes:
    """An address as it is metered."""
    address = ip_address(text)
    return address.packed if address.version == 4 else address.packed[:8]


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
        (PROXY, [], PROXY),
        (PROXY, ["192.0.2.1"], "192.0.2.1"),
        (PROXY, ["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (PROXY, ["192.0.2.1, 10.0.0.3,\t10.0.0.2 "], "192.0.2.1"),
        (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # Several lines are one list.
        (PROXY, ["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
        (PROXY, ["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        # What is no address ends the walk.
        (PROXY, [""], PROXY),
        (PROXY, ["unknown"], PROXY),
        (PROXY, ["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (PROXY, ["192.0.2.1,, 10.0.0.2"], "10.0.0.2"),
        (PROXY, ["192.0.2.1", ""], PROXY),
        (PROXY, ["192.0.2.1:http"], PROXY),
        (PROXY, ["192.0.2.256"], PROXY),
        (PROXY, ["192.0.2.01"], PROXY),
        (PROXY, ["１９２.0.2.1"], PROXY),
        (PROXY, ["1" * 8_000], PROXY),
        (PROXY, [f"{' ' * 8_000}192.0.2.1"], PROXY),
        # Some proxies write the port too.
        (PROXY, ["192.0.2.1:4711"], "192.0.2.1"),
        (PROXY, ["[2001:db8:1:2::5]:4711"], "2001:db8:1:2::"),
        (PROXY, ["[2001:db8:1:2::5]"], "2001:db8:1:2::"),
        # IPv6 is metered by /64, and mapped IPv4 as IPv4.
        ("2001:db8:1:2::5", [], "2001:db8:1:2:ffff::"),
        ("fe80::1%eth0", [], "fe80::2"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("::1", ["2001:db8:1:2::5, 2001:db8:f::1"], "2001:db8:1:2::"),
    ],
)
def test_client(peer: str, lines: list[str], client: str) -> None:
    assert ADDRESSES.client(peer, lines) == key(client)


@pytest.mark.parametrize("peer", [None, "", "/run/seatrush.sock", "@abstract"])
def test_a_peer_without_an_address_is_nobody(peer: str | None) -> None:
    assert ADDRESSES.client(peer, ["192.0.2.1"]) is None


def test_without_trusted_proxies_the_header_is_not_believed() -> None:
    assert ClientAddresses([]).client("127.0.0.1", ["192.0.2.1"]) == key("127.0.0.1")


@given(st.lists(st.text()), st.lists(st.sampled_from(["10.0.0.2", "10.255.0.1", "::1"])))
def test_nothing_that_a_client_writes_changes_whom_the_proxies_heard(
    written: list[str], proxies: list[str]
) -> None:
    heard = ", ".join(["192.0.2.1", *proxies])
    assert ADDRESSES.client(PROXY, [*written, heard]) == key("192.0.2.1")
