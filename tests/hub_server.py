"""A stand-in for the model hub: the part of its HTTP interface that huggingface_hub uses to fetch a repository."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".msgpack", ".h5")
"""Files that the hub keeps in LFS: it answers with a redirection to its store."""
GRANTED, LOGGED_IN = "hf_granted", "hf_logged_in"
"""Tokens: of someone who may read gated repositories, and of someone who may not. Any other is not valid."""


@dataclass
class Repository:
    """Files by commit, and what branches and tags point at."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False


@dataclass
class Failure:
    """What happens to the next `times` requests whose path the pattern is found in."""

    pattern: str
    times: int
    status: int | None = None
    """Answer with this; None: send half of the file and hang up."""


class HubServer:
    """Serves repositories from memory, as a context manager; remembers the requests.

    Attributes:
        endpoint: For ``HF_ENDPOINT``.
        requests: Method and path of each request since it was last cleared.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.failures: list[Failure] = []
        self.requests: list[str] = []
        self.lock = threading.Lock()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        # Under another name, as the real one: the client then takes the headers of the redirection for the file's own.
        self.store = f"http://localhost:{port}/store"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, id: str, files: Mapping[str, bytes] | Path, *refs: str, gated: bool = False, only: str = "") -> str:
        """Add a commit to a repository, which is made if need be.

        Args:
            id: Of the repository.
            files: By name, or a folder of files.
            refs: Branches and tags to move to the commit; main by default.
            gated: Whether a token with access is needed to read files.
            only: Regular expression; of a folder, files whose name it matches alone.

        Returns:
            The commit.
        """
        if isinstance(files, Path):
            files = {
                p.name: p.read_bytes() for p in files.iterdir() if p.is_file() and re.fullmatch(only or ".*", p.name)
            }
        repository = self.repositories.setdefault(id, Repository(gated=gated))
        content = [id, *(f"{name}:{_sha1(data)}" for name, data in sorted(files.items())), str(len(repository.commits))]
        commit = hashlib.sha1("\n".join(content).encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.refs |= dict.fromkeys(refs or ("main",), commit)
        return commit

    def fail(self, pattern: str, *, times: int = 1_000_000, status: int | None = None) -> None:
        """Let requests fail: with a status, or by hanging up in the middle of a file."""
        self.failures.append(Failure(pattern, times, status))

    def heal(self) -> None:
        """No failures any more."""
        self.failures.clear()

    def fetched(self) -> set[str]:
        """Names of the files that were sent."""
        return {unquote(r.rsplit("/", 1)[1]) for r in self.requests if re.match("GET /(store/.*|.*/resolve/)", r)}

    def failure(self, path: str) -> Failure | None:
        with self.lock:
            for failure in self.failures:
                if failure.times > 0 and re.search(failure.pattern, path):
                    failure.times -= 1
                    return failure
        return None


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        path = urlsplit(self.path).path
        hub = self.server_hub
        with hub.lock:
            hub.requests.append(f"{self.command} {path}")
        failure = hub.failure(path)
        if failure is not None and failure.status is not None:
            return self._answer(failure.status, b"{}")
        cut = failure is not None
        if self._token() not in (None, GRANTED, LOGGED_IN):
            return self._answer(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            return self._info(match[1], unquote(match[2]))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?", path):
            return self._tree(match[1], unquote(match[2]))
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(match[1], unquote(match[2]), unquote(match[3]), cut=cut)
        if match := re.fullmatch(r"/store/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path):
            return self._send_file(hub.repositories[match[1]].commits[match[2]][match[3]], {}, cut=cut)
        return self._answer(404, b"{}")

    def _token(self) -> str | None:
        header = self.headers.get("Authorization")
        return header.removeprefix("Bearer ") if header else None

    def _commit(self, id: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a revision stands for, with its files; answers itself where there is none."""
        repository = self.server_hub.repositories.get(id)
        if repository is None:
            # To someone not logged in, the hub does not tell a missing repository from a private one.
            self._answer(401 if self._token() is None else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return None
        return commit, repository.commits[commit]

    def _info(self, id: str, revision: str) -> None:
        if (found := self._commit(id, revision)) is not None:
            siblings = [{"rfilename": name} for name in sorted(found[1])]
            self._answer_json({"_id": "0", "id": id, "modelId": id, "sha": found[0], "siblings": siblings, "tags": []})

    def _tree(self, id: str, revision: str) -> None:
        if (found := self._commit(id, revision)) is not None:
            self._answer_json([_entry(name, data) for name, data in sorted(found[1].items())])

    def _file(self, id: str, revision: str, name: str, *, cut: bool) -> None:
        if (found := self._commit(id, revision)) is None:
            return None
        commit, files = found
        if self.server_hub.repositories[id].gated and self._token() != GRANTED:
            return self._answer(401 if self._token() is None else 403, b"{}", {"X-Error-Code": "GatedRepo"})
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            return self._answer(404, b"{}", headers | {"X-Error-Code": "EntryNotFound"})
        data = files[name]
        if name.endswith(LARGE):
            headers |= {"X-Linked-ETag": f'"{_sha256(data)}"', "X-Linked-Size": str(len(data))}
            if not cut:
                return self._answer(302, b"", headers | {"Location": f"{self.server_hub.store}/{id}/{commit}/{name}"})
        return self._send_file(data, headers | {"ETag": f'"{_sha1(data)}"'}, cut=cut)

    def _send_file(self, data: bytes, headers: dict[str, str], *, cut: bool) -> None:
        status = 200
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            begin, size = int(match[1]), len(data)
            data, status = data[begin:], 206
            headers = headers | {"Content-Range": f"bytes {begin}-{size - 1}/{size}"}
        self._answer(status, data, headers | {"Content-Type": "application/octet-stream"}, cut=cut)

    def _answer_json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] = {}, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True


def _entry(name: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": _sha1(data)}
    if name.endswith(LARGE):
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 130}
    return entry


def _sha1(data: bytes) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
