"""WireGuard as bytes, in Python: an independent model that tests use to say what no daemon would.

Written from the white paper (https://www.wireguard.com/papers/wireguard.pdf, sections 5.4.1 to
5.4.7). It keeps no timers and takes no care: the caller chooses counters, timestamps and lies.
"""
import collections
import hashlib
import hmac
import ipaddress
import os
import struct
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import (Encoding, NoEncryption, PrivateFormat,
                                                          PublicFormat)

INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4
SIZE = {INITIATION: 148, RESPONSE: 92, COOKIE: 64}
TAI64_BASE = 0x400000000000000A  # TAI64 label of the Unix epoch: 2^62 + 10 leap seconds
NO_PSK = bytes(32)


def hash256(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac128(key, *parts):
    return hashlib.blake2s(b"".join(parts), key=key, digest_size=16).digest()


def hmac256(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def kdf(count, key, data):
    """KDF_n of section 5.4: a list of n 32-byte keys."""
    secret, last, keys = hmac256(key, data), b"", []
    for i in range(1, count + 1):
        last = hmac256(secret, last + bytes([i]))
        keys.append(last)
    return keys


CONSTRUCTION = hash256(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
IDENTIFIER = hash256(CONSTRUCTION, b"WireGuard v1 zx2c4 Jason@zx2c4.com")


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw)


def new_private():
    return X25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw,
                                                     NoEncryption())


def dh(private, public):
    return X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(public))


def _nonce(counter):
    return struct.pack("<IQ", 0, counter)


def seal(key, counter, plaintext, aad=b""):
    return ChaCha20Poly1305(key).encrypt(_nonce(counter), plaintext, aad)


def unseal(key, counter, ciphertext, aad=b""):
    return ChaCha20Poly1305(key).decrypt(_nonce(counter), ciphertext, aad)


def tai64n(unix=None, nanoseconds=0):
    if unix is None:
        unix, nanoseconds = divmod(time.time_ns(), 10**9)
    return struct.pack(">QI", TAI64_BASE + unix, nanoseconds)


def _rotl(value, bits):
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def hchacha20(key, nonce):
    """The subkey of XChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2)."""
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))
    columns = [(i, i + 4, i + 8, i + 12) for i in range(4)]
    diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & 0xFFFFFFFF
                s[z] = _rotl(s[z] ^ s[x], bits)
    return struct.pack("<8I", *s[:4], *s[12:])


def _xaead(key, nonce):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]


def message_type(datagram):
    """The type word of a datagram, of data without its suite; None when there is none."""
    if len(datagram) < 4:
        return None
    kind, = struct.unpack_from("<I", datagram)
    return DATA if kind & 0xFFFF00FF == DATA else kind


def sender_index(message):
    return struct.unpack_from("<I", message, 4)[0]


def with_macs(body, receiver_public, cookie=None):
    """Append mac1, and mac2 when a cookie is at hand (section 5.4.4)."""
    body += mac128(hash256(b"mac1----", receiver_public), body)
    return body + (mac128(cookie, body) if cookie else bytes(16))


def mac1_of(message):
    return message[-32:-16]


def cookie_reply(public, message, cookie, nonce=None):
    """What the owner of `public` answers to `message` under load (section 5.4.7)."""
    nonce = nonce or os.urandom(24)
    aead, short = _xaead(hash256(b"cookie--", public), nonce)
    return (struct.pack("<II", COOKIE, sender_index(message)) + nonce +
            aead.encrypt(short, cookie, mac1_of(message)))


def cookie_from(public, message, reply):
    """The cookie that the owner of `public` sent us in `reply` to our `message`."""
    aead, short = _xaead(hash256(b"cookie--", public), reply[8:32])
    return aead.decrypt(short, reply[32:], mac1_of(message))


HELLO, ANSWER, GOODBYE, PROBE, ECHO, REQUEST, GRANT = range(1, 8)
CHACHA20_POLY1305, AES256_GCM = 0, 1  # suites


def offer(costs):
    """The option of a hello that says {suite: nanoseconds a message}."""
    return _option(1, b"".join(struct.pack("<BI", *each) for each in costs.items()))


def choice(suite):
    """The option of an answer."""
    return _option(2, bytes([suite]))


def marked(number, clock_us=0, accepted=0, expected=0, jitter_us=0, probed=None):
    """The options of a probe; with `probed`, of the echo of one of so many bytes."""
    return (_option(3, struct.pack("<II", number, clock_us)) +
            _option(4, struct.pack("<QQI", accepted, expected, jitter_us)) +
            (b"" if probed is None else _option(5, struct.pack("<H", probed))))


Marked = collections.namedtuple("Marked", "number clock_us accepted expected jitter_us probed")


def mark_of(said):
    """What a probe or an echo says, of what frame_of() returned."""
    options = options_of(said)
    probed, = struct.unpack("<H", options[5]) if 5 in options else (None,)
    return Marked(*struct.unpack("<II", options[3]), *struct.unpack("<QQI", options[4]), probed)


def granted(addresses=(), mtu=None, dns=(), routes=()):
    """The options of a grant, of texts."""
    return b"".join(
        [_option(6, _prefix(each)) for each in addresses] +
        ([] if mtu is None else [_option(7, struct.pack("<H", mtu))]) +
        [_option(8, ipaddress.ip_address(each).packed) for each in dns] +
        [_option(9, _prefix(each)) for each in routes])


def grant_of(options):
    """What granted() was called with: texts, lists in order."""
    grant, rest = {"addresses": [], "mtu": None, "dns": [], "routes": []}, options
    while rest:
        kind, value, rest = rest[0], rest[2:2 + rest[1]], rest[2 + rest[1]:]
        if kind == 7:
            grant["mtu"], = struct.unpack("<H", value)
        elif kind == 8:
            grant["dns"].append(str(ipaddress.ip_address(value)))
        else:
            of = {6: "addresses", 9: "routes"}[kind]
            grant[of].append(f"{ipaddress.ip_address(value[1:])}/{value[0]}")
    return grant


def leased(public, network):
    """Where a key points to in a pool (conf/convoy-wire.md, "Handed-over configuration")."""
    pool = ipaddress.ip_network(network)
    start = hash256(b"Convoy v1 lease", public)[:pool.max_prefixlen // 8]
    return str(pool[int.from_bytes(start, "big") & int(pool.hostmask)])


def _prefix(text):
    interface = ipaddress.ip_interface(text)
    return bytes([interface.network.prefixlen]) + interface.packed


def _option(kind, value):
    return bytes([kind, len(value)]) + value


def options_of(frame_of_kind):
    """{type: value} of what frame_of() returned."""
    rest, found = frame_of_kind[1], {}
    while rest:
        found[rest[0]], rest = rest[2:2 + rest[1]], rest[2 + rest[1]:]
    return found


def frame(kind, options=b""):
    """What two Convoys say to each other (conf/convoy-wire.md)."""
    return bytes([0xC1, kind, len(options), 0]) + options


def frame_of(plaintext):
    """(kind, options), or None when it is no frame."""
    if not plaintext or plaintext[0] >> 4 != 12:
        return None
    assert plaintext[0] == 0xC1 and plaintext[3] == 0
    assert not any(plaintext[4 + plaintext[2]:]), "padding is zeros"
    return plaintext[1], plaintext[4:4 + plaintext[2]]


class Session:
    """Transport keys after a handshake (section 5.4.5): seal() to the peer, open() from it."""

    def __init__(self, chain, initiates, local_index, remote_index):
        self._exporter, = kdf(1, chain, b"Convoy v1 exporter")
        self._initiates = initiates
        self.send_key, self.receive_key = self._mine_and_theirs(kdf(2, chain, b""))
        self.local_index, self.remote_index = local_index, remote_index
        self.counter = 0
        self.suite = CHACHA20_POLY1305  # of the message opened last

    def _mine_and_theirs(self, keys):
        """The initiator's key comes first."""
        return keys if self._initiates else keys[::-1]

    def suite_keys(self, suite):
        """Both ways, of a suite beside WireGuard's (conf/convoy-wire.md, "Keys")."""
        return self._mine_and_theirs(kdf(2, self._exporter, b"Convoy v1 suite" + bytes([suite])))

    def seal(self, plaintext=b"", counter=None, pad=True, suite=CHACHA20_POLY1305):
        """A data message; without a counter, the next one."""
        if counter is None:
            counter = self.counter
        self.counter = max(self.counter, counter + 1)
        if pad:
            plaintext += bytes(-len(plaintext) % 16)
        header = struct.pack("<BBHIQ", DATA, suite, 0, self.remote_index, counter)
        if suite:
            key, _ = self.suite_keys(suite)
            return header + AESGCM(key).encrypt(_nonce(counter), plaintext, header)
        return header + seal(self.send_key, counter, plaintext)

    def open(self, message):
        """(counter, plaintext) of a data message to us; raises when it is not authentic."""
        header = message[:16]
        kind, self.suite, zero, index, counter = struct.unpack("<BBHIQ", header)
        assert (kind, zero, index) == (DATA, 0, self.local_index)
        if self.suite:
            _, key = self.suite_keys(self.suite)
            return counter, AESGCM(key).decrypt(_nonce(counter), message[16:], header)
        return counter, unseal(self.receive_key, counter, message[16:])


class Handshake:
    """One handshake from either side, with `private` ours and `remote_public` theirs."""

    def __init__(self, private, remote_public, psk=NO_PSK, ephemeral=None, index=None):
        self.private, self.public, self.remote_public = private, public_of(private), remote_public
        self.psk = psk
        self.ephemeral = ephemeral or new_private()
        self.index = int.from_bytes(os.urandom(4), "little") if index is None else index

    def _mix_hash(self, data):
        self.hash = hash256(self.hash, data)

    def _mix_key(self, data):
        self.chain, = kdf(1, self.chain, data)

    def _key(self, data):
        self.chain, key = kdf(2, self.chain, data)
        return key

    def _start(self, responder_public, ephemeral_public):
        self.chain, self.hash = CONSTRUCTION, hash256(IDENTIFIER, responder_public)
        self._mix_key(ephemeral_public)
        self._mix_hash(ephemeral_public)

    def initiation(self, timestamp=None, cookie=None, dishonest_ephemeral=None):
        """First message (5.4.2). A dishonest ephemeral is put in the place of the real one."""
        ephemeral_public = dishonest_ephemeral or public_of(self.ephemeral)
        self._start(self.remote_public, ephemeral_public)
        static = seal(self._key(dh(self.ephemeral, self.remote_public)), 0, self.public, self.hash)
        self._mix_hash(static)
        stamp = seal(self._key(dh(self.private, self.remote_public)), 0, timestamp or tai64n(),
                     self.hash)
        self._mix_hash(stamp)
        self.message = with_macs(struct.pack("<II", INITIATION, self.index) + ephemeral_public +
                                 static + stamp, self.remote_public, cookie)
        return self.message

    def consume_initiation(self, message):
        """The responder's half; returns the sender's static public key."""
        assert len(message) == SIZE[INITIATION] and message_type(message) == INITIATION
        assert mac1_of(message) == mac128(hash256(b"mac1----", self.public), message[:-32])
        self.remote_index, self.remote_ephemeral = sender_index(message), message[8:40]
        self._start(self.public, self.remote_ephemeral)
        remote = unseal(self._key(dh(self.private, self.remote_ephemeral)), 0, message[40:88],
                        self.hash)
        self._mix_hash(message[40:88])
        self.timestamp = unseal(self._key(dh(self.private, remote)), 0, message[88:116], self.hash)
        self._mix_hash(message[88:116])
        return remote

    def response(self, cookie=None):
        """Second message (5.4.3); the session of the responder is self.session then."""
        ephemeral_public = public_of(self.ephemeral)
        self._mix_key(ephemeral_public)
        self._mix_hash(ephemeral_public)
        self._mix_key(dh(self.ephemeral, self.remote_ephemeral))
        self._mix_key(dh(self.ephemeral, self.remote_public))
        empty = seal(self._psk_key(), 0, b"", self.hash)
        self._mix_hash(empty)
        self.session = Session(self.chain, False, self.index, self.remote_index)
        return with_macs(struct.pack("<III", RESPONSE, self.index, self.remote_index) +
                         ephemeral_public + empty, self.remote_public, cookie)

    def consume_response(self, message):
        """The initiator's end of it; returns the session."""
        assert len(message) == SIZE[RESPONSE] and message_type(message) == RESPONSE
        remote_index, local_index = struct.unpack_from("<II", message, 4)
        assert local_index == self.index
        assert mac1_of(message) == mac128(hash256(b"mac1----", self.public), message[:-32])
        ephemeral = message[12:44]
        self._mix_key(ephemeral)
        self._mix_hash(ephemeral)
        self._mix_key(dh(self.ephemeral, ephemeral))
        self._mix_key(dh(self.private, ephemeral))
        unseal(self._psk_key(), 0, message[44:60], self.hash)
        self._mix_hash(message[44:60])
        return Session(self.chain, True, local_index, remote_index)

    def _psk_key(self):
        self.chain, tau, key = kdf(3, self.chain, self.psk)
        self._mix_hash(tau)
        return key
