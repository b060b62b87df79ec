"""Which addresses are one client. Pure."""

import ipaddress


def household(address: str) -> str:
    """What stands for one client: an IPv4 address, or the /64 that an IPv6 client owns."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
