from __future__ import annotations

import pytest

from fleetportal.kit.errors import Temporary
from fleetportal.kit.net import AddressRefused, Endpoint, endpoint

NEVER = [
    "https://169.254.169.254/latest/meta-data",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[2002:a9fe:a9fe::1]/",  # 169.254.169.254 behind a 6to4 gateway
    "https://[2001:0:1:1:0:0:5601:5601]/",  # and behind a Teredo one
    "https://[64:ff9b::a9fe:a9fe]/",  # and behind NAT64
    "https://[::a9fe:a9fe]/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://168.63.129.16/",
    "https://224.0.0.1/",
    "https://[ff02::1]/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://2852039166/",  # 169.254.169.254 as one number
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
]
LOOPBACK = [
    "https://127.0.0.1:6443",
    "https://127.9.9.9/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "https://localhost/",
    "https://2130706433/",
    "https://127.1/",
]
NOT_A_CLUSTER = [
    "http://10.0.0.1/",
    "ftp://10.0.0.1/",
    "file:///etc/passwd",
    "gopher://10.0.0.1/",
    "//10.0.0.1/",
    "10.0.0.1",
    "",
    "https://",
    "https://user@10.0.0.1/",
    "https://user:word@10.0.0.1/",
    "https://10.0.0.1/?x=1",
    "https://10.0.0.1/#x",
    "https://10.0.0.1:99999/",
    "https://10.0.0.1:port/",
    "https://[10.0.0.1/",
]


@pytest.mark.parametrize("url", NEVER)
def test_link_local_and_unroutable_addresses_are_never_reached(url: str) -> None:
    with pytest.raises(AddressRefused):
        endpoint(url, allow_loopback=True)


@pytest.mark.parametrize("url", LOOPBACK)
def test_loopback_is_reached_only_where_it_is_allowed(url: str) -> None:
    assert endpoint(url, allow_loopback=True).ip in {
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:7f00:1",
        "2002:7f00:1::",
    }
    with pytest.raises(AddressRefused, match="this machine"):
        endpoint(url, allow_loopback=False)


@pytest.mark.parametrize("url", NOT_A_CLUSTER)
def test_anything_but_a_plain_https_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        endpoint(url, allow_loopback=True)


@pytest.mark.parametrize("url", ["https://10.1.2.3/", "https://192.168.0.9/", "https://[fd12::1]/"])
def test_private_addresses_can_be_ruled_out(url: str) -> None:
    assert endpoint(url, allow_loopback=False).port == 443
    with pytest.raises(AddressRefused, match="private"):
        endpoint(url, allow_loopback=False, allow_private=False)


def test_the_judged_address_is_the_one_to_connect_to() -> None:
    found = endpoint("https://10.1.2.3:6443/clusters/a/", allow_loopback=False)
    assert found == Endpoint("10.1.2.3", 6443, "/clusters/a", "10.1.2.3")
    assert found.url == "https://10.1.2.3:6443/clusters/a"
    six = endpoint("https://[fd12::1]/", allow_loopback=False)
    assert six.url == "https://[fd12::1]:443"


def test_a_name_that_does_not_resolve_may_resolve_later() -> None:
    with pytest.raises(Temporary):
        endpoint("https://no-such-host.invalid/", allow_loopback=False)
