# SPDX-License-Identifier: Apache-2.0
"""A small OCI registry for tests, over real HTTP(S) in a thread: what pull and push need of the distribution-spec."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import threading
import time
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

USER, PASSWORD = "ann", "s3cret:with colon"


@dataclass
class OciRegistry:
    """What it holds, how it behaves, what it was sent."""

    auth: str = ""
    """"" (nobody is asked), "basic", "token"."""
    anonymous: bool = True
    """Tokens to pull are for everybody."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    """Media type and bytes by repository and tag or digest."""
    elsewhere: str = ""
    """Blobs are to be fetched from below this address."""
    realm: str = ""
    uploads: int = 0
    url: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path, Authorization of each request."""

    def app(self) -> FastAPI:
        app = FastAPI()
        self._ask_who(app)
        self._keep_manifests(app)
        self._keep_blobs(app)
        return app

    def _ask_who(self, app: FastAPI) -> None:
        @app.middleware("http")
        async def look(request: Request, following):
            given = request.headers.get("authorization", "")
            self.seen.append((request.method, request.url.path, given))
            if request.url.path.startswith("/v2/") and not self._lets(request, given):
                scope = "pull" if request.method in ("GET", "HEAD") else "pull,push"
                challenge = {
                    "basic": 'Basic realm="here"',
                    "token": f'Bearer realm="{self.realm or self.url + "/token"}",service="us",'
                    f'scope="repository:team/pump:{scope}"',
                }.get(self.auth, "Magic")
                return JSONResponse(
                    {"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}, 401, {"WWW-Authenticate": challenge}
                )
            return await following(request)

        @app.get("/token")
        async def token(request: Request) -> Response:
            right = request.headers.get("authorization", "") == _basic()
            scope = request.query_params.get("scope", "")
            if not right and not (self.anonymous and scope.endswith(":pull")):
                return Response(status_code=401)
            return JSONResponse({"token": f"token-for-{scope}"})

    def _keep_manifests(self, app: FastAPI) -> None:
        @app.api_route("/v2/{name:path}/manifests/{wanted}", methods=["GET", "PUT"])
        async def manifests(request: Request, name: str, wanted: str) -> Response:
            if request.method == "PUT":
                body = await request.body()
                kept = (request.headers["content-type"], body)
                digest = _digest(body)
                self.manifests[name, wanted] = self.manifests[name, digest] = kept
                return Response(status_code=201, headers={"Docker-Content-Digest": digest})
            if (name, wanted) not in self.manifests:
                reason = {"code": "MANIFEST_UNKNOWN", "message": "no such \x1b[31mtag"}
                return JSONResponse({"errors": [reason]}, 404)
            kind, body = self.manifests[name, wanted]
            return Response(body, media_type=kind)

    def _keep_blobs(self, app: FastAPI) -> None:
        @app.post("/v2/{name:path}/blobs/uploads/")
        async def begin(name: str) -> Response:
            self.uploads += 1
            return Response(status_code=202, headers={"Location": f"/v2/{name}/blobs/uploads/{self.uploads}?state=x"})

        @app.put("/v2/{name:path}/blobs/uploads/{number}")
        async def end(request: Request, name: str, number: int) -> Response:
            body = await request.body()
            if request.query_params.get("state") != "x" or request.query_params.get("digest") != _digest(body):
                return Response(status_code=400)
            self.blobs[_digest(body)] = body
            return Response(status_code=201)

        @app.api_route("/v2/{name:path}/blobs/{digest}", methods=["GET", "HEAD"])
        @app.get("/elsewhere/{name:path}/{digest}")
        async def blob(request: Request, name: str, digest: str) -> Response:
            if digest not in self.blobs:
                return Response(status_code=404)
            if self.elsewhere and request.url.path.startswith("/v2/") and request.method == "GET":
                return Response(status_code=307, headers={"Location": f"{self.elsewhere}/elsewhere/{name}/{digest}"})
            return Response(self.blobs[digest])

    def _lets(self, request: Request, given: str) -> bool:
        if self.auth == "token":
            need = "pull" if request.method in ("GET", "HEAD") else "pull,push"
            return given in (f"Bearer token-for-repository:team/pump:{need}", _all())
        return not self.auth or (self.auth == "basic" and given == _basic())

    @contextlib.contextmanager
    def running(self, pki=None):
        """Serve, over TLS where certificates are given; `url` is where."""
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        self.url = f"{'https' if pki else 'http'}://127.0.0.1:{port}"
        options = {"ssl_certfile": str(pki.certificate), "ssl_keyfile": str(pki.key)} if pki else {}
        server = uvicorn.Server(uvicorn.Config(self.app(), log_level="error", lifespan="off", **options))
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(60)
            sock.close()


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def _all() -> str:
    return "Bearer token-for-repository:team/pump:pull,push"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
