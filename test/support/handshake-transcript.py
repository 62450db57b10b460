"""A WireGuard handshake written from the white paper alone, with Python's own BLAKE2s and the cryptography
package: prints the transcript that handshake.test.ts holds this program's handshake against. It shares no
line and no library with src/noise. Run it with: python3 test/support/handshake-transcript.py"""
import hashlib, hmac, json, struct, sys
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

IDENTIFIERS = {"wireguard": b"WireGuard v1 zx2c4 Jason@zx2c4.com", "ethernet": b"udptun-fast v1 Ethernet frames"}


def HASH(data):
    return hashlib.blake2s(data).digest()


def MAC(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def HMAC(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def KDF(n, key, data):
    prk, out, last = HMAC(key, data), [], b""
    for i in range(n):
        last = HMAC(prk, last + bytes([i + 1]))
        out.append(last)
    return out


def AEAD(key, counter, plain, data):
    return ChaCha20Poly1305(key).encrypt(struct.pack("<IQ", 0, counter), plain, data)


def public(private):
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key(byte):
    return X25519PrivateKey.from_private_bytes(bytes([byte]) * 32)


def transcript(identifier, psk):
    si, sr, ei, er = key(0x11), key(0x22), key(0x33), key(0x44)
    dh = lambda private, other: private.exchange(other.public_key())
    timestamp = bytes.fromhex("400000006774857a1d000000")
    ck = HASH(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    h = HASH(ck + IDENTIFIERS[identifier])
    h = HASH(h + public(sr))
    (ck,) = KDF(1, ck, public(ei))
    h = HASH(h + public(ei))
    ck, k = KDF(2, ck, dh(ei, sr))
    static = AEAD(k, 0, public(si), h)
    h = HASH(h + static)
    ck, k = KDF(2, ck, dh(si, sr))
    stamp = AEAD(k, 0, timestamp, h)
    h = HASH(h + stamp)
    initiation = struct.pack("<II", 1, 0x01020304) + public(ei) + static + stamp
    initiation += MAC(HASH(b"mac1----" + public(sr)), initiation) + bytes(16)

    (ck,) = KDF(1, ck, public(er))
    h = HASH(h + public(er))
    (ck,) = KDF(1, ck, dh(er, ei))
    (ck,) = KDF(1, ck, dh(er, si))
    ck, tau, k = KDF(3, ck, psk)
    h = HASH(h + tau)
    nothing = AEAD(k, 0, b"", h)
    response = struct.pack("<III", 2, 0x0A0B0C0D, 0x01020304) + public(er) + nothing
    response += MAC(HASH(b"mac1----" + public(si)), response) + bytes(16)
    first, second = KDF(2, ck, b"")
    data = struct.pack("<IIQ", 4, 0x0A0B0C0D, 7) + AEAD(first, 7, b"hello, tunnel!!!", b"")
    return {
        "identifier": identifier,
        "presharedKey": psk.hex(),
        "initiation": initiation.hex(),
        "response": response.hex(),
        "initiatorSends": first.hex(),
        "responderSends": second.hex(),
        "data": data.hex(),
    }


json.dump(
    [transcript("wireguard", bytes(32)), transcript("wireguard", bytes([0x55]) * 32), transcript("ethernet", bytes(32))],
    sys.stdout,
    indent=2,
)
