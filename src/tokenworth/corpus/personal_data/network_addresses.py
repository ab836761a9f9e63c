"""IP addresses in running text and code: addresses of a net, not versions, slices, scopes or times."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d|\.\w)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|\.\d)")

_UNSPECIFIC = {IPv4Address("0.0.0.0"), IPv4Address("127.0.0.1"), IPv4Address("255.255.255.255")}  # noqa: S104
_ASSIGNED = tuple(map(IPv6Network, ("2000::/3", "fc00::/7", "fe80::/10", "ff00::/8")))
"""Global, local and multicast addresses (IANA); a slice such as values[::2] or a scope such as a::b is none."""
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:versions?|ver|release[ds]?|v|build|section|chapter|figure|table|firmware|driver|upgraded?\s+to)[\s.:=]*"
    r"|(?:[=<>~^]=|[-_~^§]|(?<![/:])/)\s?)\Z",
    re.IGNORECASE,
)
_ADDRESS_BEFORE = re.compile(r"(?:\b(?:ip|ipv4|address|host|server|dns|gateway|from|ping)\b\W*|//|@)\Z", re.IGNORECASE)
_LARGE = 20


def ipv4_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where the address stands; a version stands behind a word for it, or behind a sign of comparison."""
    try:
        address = IPv4Address(match.group())
    except AddressValueError:
        return None
    before = match.string[max(0, match.start() - 24) : match.start()]
    if _VERSION_BEFORE.search(before) or address in _UNSPECIFIC:
        return None
    # Four small numbers that are neither alike nor private rather number a section or a release.
    is_small = all(octet < _LARGE for octet in address.packed)
    numbers_a_part = is_small and len(set(address.packed)) > 1 and not address.is_private
    return match.span() if not numbers_a_part or _ADDRESS_BEFORE.search(before) else None


def ipv6_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where the address stands: eight groups with a digit, or fewer in a range that is in use."""
    try:
        address = IPv6Address(match.group())
    except AddressValueError:
        return None
    is_assigned = "::" not in match.group() or any(address in network for network in _ASSIGNED)
    return match.span() if is_assigned and any(letter.isdigit() for letter in match.group()) else None
