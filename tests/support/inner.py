"""Inner packets made by hand: IPv4 and IPv6 with UDP or an ICMP echo, checksums right."""
import socket
import struct

ICMP, UDP, ICMPV6 = 1, 17, 58


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def ip(source, destination, protocol, payload, tos=0, length=None):
    """One IP packet; `length` lies about its total length (v4) or payload length (v6)."""
    src, dst = _address(source), _address(destination)
    if len(src) == 16:
        length = len(payload) if length is None else length
        return struct.pack("!IHBB", 6 << 28 | tos << 20, length, protocol, 64) + src + dst + payload
    length = 20 + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH", 0x45, tos, length, 1, 0, 64, protocol, 0) + src + dst
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def _pseudo(source, destination, protocol, length):
    return _address(source) + _address(destination) + struct.pack("!II", length, protocol)


def udp(source, destination, source_port, destination_port, data, **kwargs):
    length = 8 + len(data)
    head = struct.pack("!HHH", source_port, destination_port, length)
    total = checksum(_pseudo(source, destination, UDP, length) + head + b"\0\0" + data)
    return ip(source, destination, UDP, head + struct.pack("!H", total or 0xFFFF) + data, **kwargs)


def echo(source, destination, sequence=1, data=b"convoy"):
    """An echo request."""
    protocol, kind = (ICMPV6, 128) if ":" in source else (ICMP, 8)
    body = struct.pack("!HH", 0x4356, sequence) + data
    over = struct.pack("!BBH", kind, 0, 0) + body
    if protocol == ICMPV6:
        over = _pseudo(source, destination, protocol, 4 + len(body)) + over
    return ip(source, destination, protocol,
              struct.pack("!BBH", kind, 0, checksum(over)) + body)


def is_echo_reply(packet, sequence=1):
    """Whether a (possibly padded) packet answers echo() of that number."""
    start, kind = (40, 129) if packet[0] >> 4 == 6 else (20, 0)
    return (packet[start], *struct.unpack_from("!HH", packet, start + 4)) == (kind, 0x4356,
                                                                             sequence)
