"""The model that other stories speak through agrees with known answers.

The handshake's are those of a Noise_IKpsk2 exchange with the keys 01.., 02.., 03.., 04.., the
psk 05..; XChaCha20's are those of draft-irtf-cfrg-xchacha-03, section 2.2.1.
"""
import wgmodel
from wgmodel import Handshake, public_of

STAMP = bytes.fromhex("400000006553f10a10000000")


def exchange():
    initiator = Handshake(b"\1" * 32, public_of(b"\2" * 32), b"\5" * 32, b"\3" * 32, 0x11111111)
    responder = Handshake(b"\2" * 32, public_of(b"\1" * 32), b"\5" * 32, b"\4" * 32, 0x22222222)
    first = initiator.initiation(STAMP)
    assert responder.consume_initiation(first) == initiator.public
    assert responder.timestamp == STAMP
    second = responder.response()
    return first, second, initiator.consume_response(second), responder.session


def test_handshake_messages_are_the_known_ones():
    first, second, _, _ = exchange()
    assert first.hex() == (
        "01000000111111115dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef220a26599f"
        "b2188bb723276fc173af67616c817fc32fd04d686d87ec152fac10eed2bda3bb3b6f1eded6977684082284d8"
        "17fb46b3a99b6be3ad273ed6d743e2aea30f5701bea2567e6f0ce2c40555cdbd4b9564263954736db33857c5"
        + "00" * 16)
    assert second.hex() == (
        "020000002222222211111111ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b"
        "5a01272c7d3fb60b08b6198d6d4ee3b4e6df542fcd083d4b4334194df9df726f" + "00" * 16)


def test_sessions_of_both_sides_open_what_the_other_sealed():
    _, _, initiator, responder = exchange()
    keepalive = initiator.seal()
    assert keepalive.hex() == "040000002222222200000000000000002573d3030aabba0c616df8e5a1bab60b"
    assert responder.open(keepalive) == (0, b"")
    assert initiator.open(responder.seal(b"x" * 16, counter=9)) == (9, b"x" * 16)


def test_cookie_reply_is_the_known_one_and_opens():
    first, _, _, _ = exchange()
    server = public_of(b"\2" * 32)
    reply = wgmodel.cookie_reply(server, first, b"\6" * 16, b"\7" * 24)
    assert reply.hex() == (
        "0300000011111111" + "07" * 24
        + "a6febccc6c388c1666769fc122aefcbc0b3ea5310f5f1fbe544065d3cfd36f3e")
    assert wgmodel.cookie_from(server, first, reply) == b"\6" * 16


def test_hchacha20_gives_the_subkey_of_the_draft():
    key = bytes(range(32))
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    assert wgmodel.hchacha20(key, nonce).hex() == (
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc")
