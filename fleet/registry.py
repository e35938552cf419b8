# SPDX-License-Identifier: Apache-2.0
"""An OCI registry over HTTP: pulls a wasm artifact, pushes one. What fleet.oci says of manifests and layers holds here.

Contract: everything that comes is bounded in size before it is kept, and checked against its digest before it is given:
the layer against the manifest, the manifest against the reference where that names a digest. TLS unless `plain_http`
was asked for; a name and a password go to the registry and to the token service that it names, over TLS alone, and to
no address that it sends us on to. Nothing is tried again by itself.

Errors: NotFoundError, LoginError, DeniedError for what the registry says; RefusedError: what came is no wasm artifact,
or not what its digest says; ServerError: no answer, or one that is none.
Source: OCI distribution-spec 1.1; https://distribution.github.io/distribution/spec/auth/token/ for tokens.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx

from agent.errors import RefusedError, UsageError
from agent.text import printable
from fleet import oci
from fleet.errors import DeniedError, FleetError, LoginError, NotFoundError, ServerError

if TYPE_CHECKING:
    import ssl

__all__ = ["Reference", "Registry"]

TIMEOUT_S = 60.0
MAX_REDIRECTS = 5
MAX_REASON = 64 * 1024
"""Bytes of an error's answer that are read."""
_HOST = re.compile(r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')


@dataclass(frozen=True)
class Reference:
    """HOST[:PORT]/REPOSITORY, with a tag or a digest or neither."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read one; None: it does not look like one (a path, say). UsageError: it does, and is wrong."""
        plain = text.removeprefix("oci://")
        host, slash, rest = plain.partition("/")
        known = any(char in host for char in ".:[") or host == "localhost"
        if plain == text and not (slash and known and _HOST.fullmatch(host)):
            return None
        rest, _, digest = rest.partition("@")
        repository, _, tag = rest.partition(":")
        if (
            not _HOST.fullmatch(host)
            or not _REPOSITORY.fullmatch(repository)
            or (tag and not _TAG.fullmatch(tag))
            or (digest and not _DIGEST.fullmatch(digest))
            or plain.endswith((":", "@"))
        ):
            raise UsageError(f"{text!r:.200}: is no HOST[:PORT]/REPOSITORY[:TAG] or ...@sha256:DIGEST of a registry")
        return cls(host, repository, tag, digest)

    def __str__(self) -> str:
        """As it is written."""
        end = (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")
        return f"{self.host}/{self.repository}{end}"


class Registry:
    """A repository of a registry; a context manager."""

    def __init__(
        self,
        reference: Reference,
        *,
        user: str = "",
        password: str = "",
        plain_http: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._reference = reference
        self._login = httpx.BasicAuth(user, password) if user else None
        self._scheme = "http" if plain_http else "https"
        self._base = httpx.URL(f"{self._scheme}://{reference.host}/v2/{reference.repository}/")
        self._authorization = ""
        """Of the answer to the registry's last challenge."""
        self._http = httpx.Client(
            timeout=TIMEOUT_S, verify=tls if tls is not None else True, headers={"Accept-Encoding": "identity"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def pull(self) -> oci.Found:
        """Give the wasm artifact of the reference."""
        wanted = self._reference.digest or self._reference.tag or "latest"
        manifest = self._manifest(wanted)
        if manifest.get("mediaType") == oci.INDEX_TYPE or "manifests" in manifest:
            entries = manifest.get("manifests")
            if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
                raise RefusedError(f"OCI: {self._reference} is an index of several manifests: name one by its digest")
            if not isinstance(entries[0].get("digest"), str) or not _DIGEST.fullmatch(entries[0]["digest"]):
                raise RefusedError("OCI: an index without a sha256 digest")
            manifest = self._manifest(entries[0]["digest"])
        layer, file, told = oci.read_manifest(manifest)
        digest = layer.get("digest")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise RefusedError(f"OCI: {digest!r:.80} is no sha256 digest")
        data = self._get(self._base.join(f"blobs/{digest}"), oci.MAX_MODULE)
        oci.check_blob(data, digest, layer.get("size"), oci.MAX_MODULE)
        return oci.Found(data, file, told)

    def push(self, data: bytes, artifact: dict[str, Any]) -> str:
        """Push a module (with what the server's API says of it); gives the manifest's digest."""
        if self._reference.digest:
            raise UsageError(f"{self._reference}: push to a tag; the digest comes of what is pushed")
        manifest, config = oci.write_manifest(data, artifact)
        self._push_blob(config)
        self._push_blob(data)
        digest = str(oci.descriptor(manifest, oci.MANIFEST_TYPE)["digest"])
        url = self._base.join(f"manifests/{self._reference.tag or 'latest'}")
        answer = self._ask("PUT", url, content=manifest, headers={"Content-Type": oci.MANIFEST_TYPE})
        told = answer.headers.get("Docker-Content-Digest", digest)
        if told != digest:
            raise RefusedError(f"OCI: the registry took {printable(told)[:80]} where {digest} was pushed")
        return digest

    # Inside

    def _manifest(self, wanted: str) -> dict[str, Any]:
        accept = f"{oci.MANIFEST_TYPE}, {oci.INDEX_TYPE}"
        data = self._get(self._base.join(f"manifests/{wanted}"), oci.MAX_JSON, {"Accept": accept})
        if wanted.startswith("sha256:") and f"sha256:{hashlib.sha256(data).hexdigest()}" != wanted:
            raise RefusedError(f"OCI: the manifest {wanted} has another digest")
        return oci.parse_json(data, "the manifest")

    def _push_blob(self, data: bytes) -> None:
        digest = str(oci.descriptor(data, "")["digest"])
        with contextlib.suppress(NotFoundError):
            self._ask("HEAD", self._base.join(f"blobs/{digest}"))
            return
        answer = self._ask("POST", self._base.join("blobs/uploads/"), content=b"")
        place = answer.headers.get("Location", "")
        if answer.status_code != 202 or not place:  # noqa: PLR2004
            raise ServerError(f"{self._reference.host}: no place for an upload (status {answer.status_code})")
        url = self._allowed(answer.url.join(place)).copy_add_param("digest", digest)
        self._ask("PUT", url, content=data, headers={"Content-Type": "application/octet-stream"})

    def _allowed(self, url: httpx.URL) -> httpx.URL:
        if url.scheme not in ("https", self._scheme):
            raise ServerError(f"{self._reference.host}: sends us on to {printable(str(url))[:200]}, without TLS")
        return url

    def _get(self, url: httpx.URL, most: int, headers: dict[str, str] | None = None) -> bytes:
        return self._ask("GET", url, headers=headers, most=most).content

    def _ask(
        self,
        method: str,
        url: httpx.URL,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        most: int = MAX_REASON,
    ) -> httpx.Response:
        """Ask; answers challenges and follows redirections of what is only read."""
        challenged = redirected = 0
        while True:
            answer = self._once(method, url, content, headers or {}, most)
            if answer.status_code == 401 and not challenged and self._ours(url):  # noqa: PLR2004
                challenged += 1
                self._authorization = self._answer(answer.headers.get("WWW-Authenticate", ""))
            elif answer.is_redirect and method in ("GET", "HEAD") and redirected < MAX_REDIRECTS:
                redirected += 1
                url = self._allowed(url.join(answer.headers.get("Location", "")))
            elif answer.is_success:
                return answer
            else:
                raise self._refusal(method, url, answer)

    def _ours(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._base.scheme, self._base.host, self._base.port)

    def _once(
        self, method: str, url: httpx.URL, content: bytes | None, headers: dict[str, str], most: int
    ) -> httpx.Response:
        """One request; the answer's body is read up to a bound."""
        if self._authorization and self._ours(url):
            headers = {**headers, "Authorization": self._authorization}
        try:
            with self._http.stream(method, url, content=content, headers=headers) as answer:
                body = bytearray()
                bound = most if answer.is_success else MAX_REASON
                for piece in answer.iter_raw():
                    body += piece
                    if len(body) > bound and not answer.is_success:
                        break
                    if len(body) > bound:
                        raise RefusedError(f"OCI: {url.path} has more than {bound} bytes")
        except httpx.HTTPError as error:
            raise ServerError(f"{url.host}: {error}") from error
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() != "content-encoding"]
        return httpx.Response(answer.status_code, headers=kept, content=bytes(body), request=answer.request)

    def _answer(self, challenge: str) -> str:
        """Give what to send for a challenge (RFC 9110, 11.6.1). LoginError."""
        scheme, _, rest = challenge.strip().partition(" ")
        told = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
        if scheme.lower() == "basic":
            if self._login is None:
                raise LoginError(f"{self._reference.host}: wants a login: give --registry-user")
            request = next(self._login.auth_flow(httpx.Request("GET", self._base)))
            return request.headers["Authorization"]
        if scheme.lower() != "bearer" or "realm" not in told:
            raise LoginError(f"{self._reference.host}: wants a login of a kind that is not known: {challenge!r:.100}")
        return f"Bearer {self._token(told)}"

    def _token(self, told: dict[str, str]) -> str:
        try:
            url = self._allowed(httpx.URL(told["realm"]))
        except httpx.InvalidURL as error:
            raise ServerError(f"{self._reference.host}: names {told['realm']!r:.100} for tokens") from error
        for name in ("service", "scope"):
            if told.get(name):
                url = url.copy_add_param(name, told[name])
        saved, self._authorization = self._authorization, ""
        try:
            if self._login is not None:
                if url.scheme != "https" and url.host != self._base.host:
                    raise LoginError(f"{url.host}: no password goes there without TLS")
                request = next(self._login.auth_flow(httpx.Request("GET", url)))
                headers = {"Authorization": request.headers["Authorization"]}
            else:
                headers = {}
            answer = self._once("GET", url, None, headers, MAX_REASON)
        finally:
            self._authorization = saved
        if not answer.is_success:
            raise LoginError(f"{url.host}: gives no token (status {answer.status_code})")
        table = oci.parse_json(answer.content, "the token")
        token = table.get("token") or table.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise ServerError(f"{url.host}: gives no token that is one")
        return token

    def _refusal(self, method: str, url: httpx.URL, answer: httpx.Response) -> FleetError:
        reason = ""
        with contextlib.suppress(RefusedError, KeyError, IndexError, TypeError):
            reason = printable(str(oci.parse_json(answer.content, "the reason")["errors"][0]["message"]))[:200]
        text = f"{method} {url.host}{url.path}: " + (reason or f"status {answer.status_code}")
        kinds: dict[int, type[FleetError]] = {401: LoginError, 403: DeniedError, 404: NotFoundError}
        return kinds.get(answer.status_code, ServerError)(text)
