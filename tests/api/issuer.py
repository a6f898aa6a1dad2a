"""An outside issuer of tokens: private keys, what PyJWT signs with them, a real server of their key set."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import msgspec
from aiohttp import test_utils, web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_795_000_000
CLAIMS: dict[str, Any] = {"sub": "m-1001", "aud": "seatrush", "exp": NOW + 60, "unit": "xicheng.health"}


class Signer:
    """A private key of the issuer, under a `kid`."""

    def __init__(self, alg: str, kid: str, rsa_bits: int = 2048) -> None:
        self.alg = alg
        self.kid = kid
        if alg == "RS256":
            self.private: Any = rsa.generate_private_key(65537, rsa_bits)
            self._to_jwk: Any = RSAAlgorithm.to_jwk
        elif alg == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            self._to_jwk = ECAlgorithm.to_jwk
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            self._to_jwk = OKPAlgorithm.to_jwk

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public key as it stands in the set; a member that is changed to None is left out."""
        jwk = self._to_jwk(self.private.public_key(), as_dict=True)
        jwk = jwk | {"kid": self.kid, "alg": self.alg, "use": "sig"} | changes
        return {name: value for name, value in jwk.items() if value is not None}

    def token(self, claims: Mapping[str, Any] = CLAIMS, **headers: Any) -> str:
        return jwt.encode(dict(claims), self.private, self.alg, headers={"kid": self.kid} | headers)


def key_set(*keys: Any) -> bytes:
    return msgspec.json.encode({"keys": keys})


class KeyServer:
    """Serves `body` with `status`. `arrived` counts requests; while `gate` is cleared they wait."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 200
        self.headers: dict[str, str] = {}
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.requests = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.arrived.put_nowait(request.path)
        await self.gate.wait()
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@asynccontextmanager
async def serving(body: bytes, port: int = 0) -> AsyncIterator[KeyServer]:
    key_server = KeyServer(body)
    app = web.Application()
    app.router.add_get("/{path:.*}", key_server._answer)
    server = test_utils.TestServer(app, host="127.0.0.1", port=port or None)
    await server.start_server(shutdown_timeout=0)
    key_server.url = str(server.make_url("/keys"))
    try:
        yield key_server
    finally:
        key_server.gate.set()
        await server.close()


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
