"""Run the web server on a socket of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clearir.search.limits import Limits
from clearir.search.measured import Measured
from clearir.search.query import Searcher, check_same_corpus
from clearir.settings import SearchExample
from clearir.support.errors import InputError
from clearir.support.extras import require

if TYPE_CHECKING:
    from clearir.models.reranker import Reranking

TOKEN_VARIABLE = "CLEARIR_TOKEN"  # noqa: S105 - the name of a variable
_AT_ONCE = 200  # connections; more get 503


def serve(
    location: str,
    *,
    base: str | None = None,
    examples: Sequence[SearchExample] = (),
    address: tuple[str, int] = ("127.0.0.1", 8321),
    run: Path | None = None,
    title: str | None = None,
    limits: Limits | None = None,
    model: str | None = None,
    trust_remote_code: bool = False,
    rerank: Reranking | None = None,
    ready: Callable[[str], None] = lambda page: None,
) -> None:
    """Answer requests until the process is stopped.

    Args:
        location: folder or URI of an index.
        base: of the index of the base model, over the same corpus.
        examples: queries that the page offers.
        address: host and port to listen at; on any but a loopback host the token in ``CLEARIR_TOKEN`` is needed, and
            port 0 takes any free one.
        run: folder of the run that trained the model. If it has scores of the very models of the indexes, the page says
            how good they are.
        title: what the passages are, in words: "sections of LibreOffice and GNOME help".
        limits: of requests.
        model: see `clearir.search.query.Searcher.open`; likewise what follows.
        trust_remote_code: run code that comes with a model.
        rerank: puts the first passages of each query in order, in both indexes.
        ready: gets the address of the page when requests can come.

    Raises:
        InputError: an index cannot be used, the port is taken, or a token is needed.
        MissingExtraError: the extras ``search`` and ``ui`` are not installed.
    """
    uvicorn = require("uvicorn", "ui")
    require("starlette", "ui")
    from clearir.search.api import LOOPBACK_NAMES, Service, make_app

    token = os.environ.get(TOKEN_VARIABLE) or None
    host, port = address
    loopback = host in LOOPBACK_NAMES
    if not loopback and token is None:
        raise InputError(f"--host {host} lets other machines connect; set a token first: export {TOKEN_VARIABLE}=...")
    with _listen(host, port) as listening:
        searcher = Searcher.open(location, model=model, trust_remote_code=trust_remote_code, rerank=rerank)
        searcher.warm_up()
        before = None
        if base is not None:
            before = Searcher.open(base, trust_remote_code=trust_remote_code, rerank=rerank)
            check_same_corpus(before.info, searcher.info)
            before.warm_up()
        hosts = LOOPBACK_NAMES if loopback else None
        base_info = None if before is None else before.info
        measured = None if run is None else Measured.of(run, searcher.info, base_info, rerank)
        app = make_app(Service(searcher, before, examples, measured, title, limits or Limits(), token, hosts))
        # No proxy headers: whoever is on this machine could give himself another address at every request.
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_AT_ONCE,
            lifespan="off",
        )
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{listening.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # who comes before the model is loaded waits
    except OSError as error:
        raise InputError(f"{host}, port {port}: {error}; choose another --host or --port") from error
    return listening
