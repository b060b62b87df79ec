"""The Diffie-Hellman exchange in which a client and a data centre agree on a key.

Source: core.telegram.org/mtproto/auth_key. Knows no connection: a request in, the answer out.
"""

import os
import time
from hashlib import sha1

import cryptg
from telethon.crypto import AuthKey
from telethon.crypto.rsa import get_byte_array
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl import TLObject
from telethon.tl.functions import (
    ReqDHParamsRequest,
    ReqPqMultiRequest,
    ReqPqRequest,
    SetClientDHParamsRequest,
)
from telethon.tl.types import (
    ClientDHInnerData,
    DhGenOk,
    DhGenRetry,
    PQInnerData,
    PQInnerDataDc,
    ResPQ,
    ServerDHInnerData,
    ServerDHParamsOk,
)

from tests.telegram_server.wire.keys import ServerKey

# A proof of work that one pair of primes serves as well as many.
P, Q = 1229739323, 1402015859
G = 3
PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F"
    "48198A0AA7C14058229493D22530F4DBFA336F6E0AC925139543AED44CCE7C37"
    "20FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F64"
    "2477FE96BB2A941D5BCD1D4AC8CC49880708FA9B378E3C4F3A9060BEE67CF9A4"
    "A4A695811051907E162753B56B0F6B410DBA74D8A84B2A14B3144E0EF1284754"
    "FD17ED950D5965B4B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4"
    "E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F"
    "0D8115F635B105EE2E4E15D04B2454BF6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
"""Telegram's own, which careful clients insist on."""


class Refused(Exception):
    """The client does not keep to the protocol, or believes in another key."""


class Exchange:
    """One client's way to a key; it may begin anew at any time."""

    def __init__(self, server_key: ServerKey) -> None:
        self._server_key = server_key
        self.key: bytes | None = None
        """The key agreed on, once there is one."""
        self._server_nonce = 0
        self._new_nonce = 0
        self._secret = 0

    def answer(self, body: bytes) -> bytes:
        """The answer to one unencrypted request. Raises `Refused`."""
        request = BinaryReader(body).tgread_object()
        match request:
            case ReqPqRequest() | ReqPqMultiRequest():
                return bytes(self._begin(request))
            case ReqDHParamsRequest():
                return bytes(self._offer(request))
            case SetClientDHParamsRequest():
                return bytes(self._conclude(request))
        raise Refused(f"{type(request).__name__} is no part of the exchange")

    def _begin(self, request: ReqPqRequest | ReqPqMultiRequest) -> ResPQ:
        self._server_nonce = int.from_bytes(os.urandom(16), "little", signed=True)
        fingerprints = [self._server_key.fingerprint]
        return ResPQ(request.nonce, self._server_nonce, get_byte_array(P * Q), fingerprints)

    def _offer(self, request: ReqDHParamsRequest) -> ServerDHParamsOk:
        if request.public_key_fingerprint != self._server_key.fingerprint:
            raise Refused("the client believes in another key")
        inner = _hashed(self._server_key.decrypt(request.encrypted_data))
        if not isinstance(inner, PQInnerData | PQInnerDataDc):
            raise Refused("req_DH_params holds no p_q_inner_data")
        if (inner.p, inner.q) != (get_byte_array(P), get_byte_array(Q)):
            raise Refused("p and q are not the factors of pq")
        self._check_nonce(inner)
        self._new_nonce = inner.new_nonce
        self._secret = int.from_bytes(os.urandom(256), "big")
        offer = ServerDHInnerData(
            nonce=request.nonce,
            server_nonce=self._server_nonce,
            g=G,
            dh_prime=get_byte_array(PRIME),
            g_a=get_byte_array(pow(G, self._secret, PRIME)),
            server_time=int(time.time()),
        )
        plain = sha1(bytes(offer)).digest() + bytes(offer)
        plain += os.urandom(-len(plain) % 16)
        sealed = cryptg.encrypt_ige(plain, *self._temporary_key())
        return ServerDHParamsOk(request.nonce, self._server_nonce, sealed)

    def _conclude(self, request: SetClientDHParamsRequest) -> DhGenOk | DhGenRetry:
        inner = _hashed(cryptg.decrypt_ige(request.encrypted_data, *self._temporary_key()))
        if not isinstance(inner, ClientDHInnerData):
            raise Refused("set_client_DH_params holds no client_DH_inner_data")
        self._check_nonce(inner)
        shared = pow(int.from_bytes(inner.g_b, "big"), self._secret, PRIME)
        # Telethon drops leading zero bytes, and its string sessions put them elsewhere.
        is_short = shared.bit_length() <= 2040
        key = AuthKey(get_byte_array(shared))
        digest = key.calc_new_nonce_hash(self._new_nonce, 2 if is_short else 1)
        if is_short:
            return DhGenRetry(request.nonce, self._server_nonce, digest)
        self.key = key.key
        return DhGenOk(request.nonce, self._server_nonce, digest)

    def _temporary_key(self) -> tuple[bytes, bytes]:
        return generate_key_data_from_nonce(self._server_nonce, self._new_nonce)

    def _check_nonce(self, inner: PQInnerData | PQInnerDataDc | ClientDHInnerData) -> None:
        if inner.server_nonce != self._server_nonce:
            raise Refused("the server's nonce came back changed")


def _hashed(plain: bytes) -> TLObject:
    """The object behind its SHA-1, whatever padding follows. Raises `Refused`."""
    reader = BinaryReader(plain)
    digest = reader.read(20)
    try:
        found = reader.tgread_object()
    except Exception as error:
        raise Refused("what was encrypted cannot be read") from error
    if sha1(plain[20 : reader.tell_position()]).digest() != digest:
        raise Refused("what was encrypted is not what was hashed")
    return found
