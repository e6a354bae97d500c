"""The web server: a page for people and JSON for programs, over one index, or two of the same corpus.

| request | answer |
| --- | --- |
| ``GET /`` | the page; ``?q=...&k=10&hybrid=on&filter=language=en`` |
| ``GET /api/search`` | the same as JSON, with the same parameters |
| ``GET /api/sentence`` | which sentence of a passage is closest to a query; ``?q=...&id=...`` |
| ``POST /api/search`` | ``{"queries": [...], "k": 10, "hybrid": false, "filters": [...]}`` |
| ``GET /api/info`` | what the index is of, and the limits |
| ``GET /healthz`` | that it runs; no token needed |

Nothing in a page comes from anywhere else, and the browser is told to refuse it if it did. This module needs the
extra ``ui``; `clearir.search.serve` says so where it is missing.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from clearir.search.highlight import around
from clearir.search.limits import GUESSES, Limits, RateLimit
from clearir.search.measured import Measured
from clearir.search.page import SNIPPET, Page
from clearir.search.query import Compared, Hit, IndexGoneError, Searcher, compare, to_json
from clearir.search.request import Asked
from clearir.settings import SearchExample
from clearir.support.errors import InputError
from clearir.support.texts import printable

COOKIE = "clearir"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that gets a status of 4xx and a reason; 503 where the index is gone."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


@dataclass(frozen=True)
class Service:
    """What the server answers from.

    Attributes:
        searcher: the index; of the tuned model where there are two.
        base: the index of the base model, to be shown beside.
        examples: queries that the page offers. Of those whose right passage is known it says where that stands.
        measured: what a run has measured of the two models.
        title: what the passages are, in words: "sections of LibreOffice and GNOME help".
        limits: of requests.
        token: that requests have to bring; None: none.
        hosts: names that the server may be called by; None: any. On loopback, where no token is needed, a page from
            elsewhere could otherwise give this server a name of its own and read along (DNS rebinding).
    """

    searcher: Searcher
    base: Searcher | None = None
    examples: Sequence[SearchExample] = ()
    measured: Measured | None = None
    title: str | None = None
    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    hosts: tuple[str, ...] | None = LOOPBACK_NAMES


def make_app(service: Service) -> Starlette:
    """The server as an ASGI application."""
    api = _Api(service)
    return Starlette(
        routes=[
            Route("/", api.show_page),
            Route("/token", api.log_in, methods=["POST"]),
            Route("/api/search", api.search, methods=["GET", "POST"]),
            Route("/api/sentence", api.sentence),
            Route("/api/info", api.info),
            Route("/healthz", api.health),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=api.guard)],
        exception_handlers={HTTPException: api.on_http_error},
    )


class _Api:
    """The endpoints. What is wrong with a request is raised, and answered in one place, `guard`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._rate, self._guesses = RateLimit(service.limits), RateLimit(GUESSES)
        self._right = {one.query: one.right for one in service.examples if one.right is not None}
        self._page = Page(
            service.searcher, service.base, service.examples, service.limits, service.measured, service.title
        )

    async def guard(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        """Who may ask, what is said where something was wrong, and the headers of every answer."""
        try:
            self._check_host(request)
            if not request.url.path.startswith(("/healthz", "/token", "/static/")):
                self._check_token(request)
            response = await go_on(request)
        except Refused as refused:
            response = self._refuse(request, refused)
        except InputError as error:
            response = self._refuse(request, Refused(400, str(error)))
        except IndexGoneError as error:
            response = self._refuse(request, Refused(503, str(error)))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def on_http_error(self, request: Request, error: Exception) -> Response:
        """No such path, or a method that is not taken."""
        assert isinstance(error, HTTPException)
        reasons = {404: "there is nothing here; the page is at /", 405: f"{request.method} is not supported here"}
        return self._refuse(
            request, Refused(error.status_code, reasons.get(error.status_code, error.detail), error.headers)
        )

    async def show_page(self, request: Request) -> Response:
        """``GET /``."""
        begun = time.perf_counter()
        asked = Asked.from_address(request.scope["query_string"])
        if not asked.queries:
            return HTMLResponse(self._page.start(asked))
        asked = replace(asked, queries=asked.queries[-1:])
        [result] = await self._answer(request, asked)
        return HTMLResponse(self._page.results(asked, result, time.perf_counter() - begun))

    async def search(self, request: Request) -> Response:
        """``GET`` and ``POST /api/search``."""
        begun = time.perf_counter()
        if request.method == "POST":
            asked = Asked.from_json(await self._body(request))
        else:
            asked = Asked.from_address(request.scope["query_string"])
        results = await self._answer(request, asked)
        found = [to_json(query, result) for query, result in zip(asked.queries, results, strict=True)]
        return JSONResponse({"results": found, "seconds": round(time.perf_counter() - begun, 4)})

    async def sentence(self, request: Request) -> Response:
        """``GET /api/sentence``: the passage around the sentence that is closest to the query, null where none is."""
        begun = time.perf_counter()
        asked = Asked.from_address(request.scope["query_string"])
        identity = request.query_params.get("id", "")
        if not asked.queries or not identity:
            raise InputError("write a query and the id of a passage, e.g. /api/sentence?q=chess&id=gnuchess")
        query = asked.queries[-1]
        self._service.limits.check([query], asked.k)
        self._take(request, 1)
        found = await run_in_threadpool(self._service.searcher.best_sentence, query, identity)
        content: dict[str, Any] = {"sentence": None}
        if found is not None:
            text, begin, end = found
            before, shown, after = around(text, begin, end, SNIPPET)
            content = {"sentence": printable(text[begin:end]), "before": before, "shown": shown, "after": after}
        return JSONResponse({**content, "seconds": round(time.perf_counter() - begun, 4)})

    async def info(self, request: Request) -> Response:
        """``GET /api/info``."""
        both = {"index": self._service.searcher, "base": self._service.base}
        infos = {name: None if one is None else self._page.public_info(one.info) for name, one in both.items()}
        return JSONResponse({**infos, "rerank": self._page.rerank, "limits": asdict(self._service.limits)})

    async def health(self, request: Request) -> Response:
        """``GET /healthz``."""
        return JSONResponse({"status": "ok"})

    async def log_in(self, request: Request) -> Response:
        """``POST /token``: from now on the browser brings the token itself."""
        form = parse_qs((await self._body(request)).decode("utf-8", "replace"))
        response = RedirectResponse("/", 303)
        if self._service.token is not None:
            self._check_guess(request, _same(form.get("token", [""])[0], self._service.token), "This is not the token.")
            response.set_cookie(COOKIE, _digest(self._service.token), httponly=True, samesite="strict")
        return response

    async def _answer(self, request: Request, asked: Asked) -> list[list[Hit] | Compared]:
        self._service.limits.check(asked.queries, asked.k)
        self._take(request, len(asked.queries))
        return await run_in_threadpool(self._search, asked)

    def _search(self, asked: Asked) -> list[list[Hit] | Compared]:
        searcher, base = self._service.searcher, self._service.base
        options: dict[str, Any] = {"hybrid": asked.hybrid, "filters": asked.filters}
        if base is not None:
            return [
                compare(base, searcher, query, asked.k, right=self._right.get(query.strip()), **options)
                for query in asked.queries
            ]
        return list(searcher.search_many(asked.queries, asked.k, **options))

    def _take(self, request: Request, queries: int) -> None:
        _refuse_for(self._rate.wait(_client(request), queries), "queries")

    def _check_guess(self, request: Request, right: bool, reason: str) -> None:
        """Refuse a wrong token, and any token from where too many wrong ones came: guessing is slow."""
        client = _client(request)
        _refuse_for(self._guesses.wait(client, take=not right), "wrong tokens")
        if not right:
            raise Refused(401, reason, {"WWW-Authenticate": "Bearer"})

    async def _body(self, request: Request) -> bytes:
        """The body, as long as it is within the limit."""
        most = self._service.limits.body
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise Refused(413, f"more than {most:,} bytes; send less at once")
        return body

    def _check_host(self, request: Request) -> None:
        allowed = self._service.hosts
        if allowed is not None and request.url.hostname not in allowed:
            raise Refused(400, f"this server is called {allowed[0]}, not {request.url.hostname}")

    def _check_token(self, request: Request) -> None:
        token = self._service.token
        if token is None:
            return
        reason = "This server asks for a token."
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        cookie = request.cookies.get(COOKIE)
        if scheme.casefold() != "bearer" and cookie is None:
            raise Refused(401, reason, {"WWW-Authenticate": "Bearer"})
        right = scheme.casefold() == "bearer" and _same(given.strip(), token)
        self._check_guess(request, right or _same(cookie or "", _digest(token)), reason)

    def _refuse(self, request: Request, refused: Refused) -> Response:
        if request.url.path.startswith("/api/") or request.url.path == "/healthz":
            return JSONResponse({"error": refused.reason}, refused.status, refused.headers)
        if refused.status == 401:
            return HTMLResponse(self._page.login(refused.reason), 401, refused.headers)
        try:
            asked = Asked.from_address(request.scope["query_string"])
        except InputError:
            asked = Asked()
        return HTMLResponse(self._page.problem(asked, refused.reason), refused.status, refused.headers)


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _refuse_for(wait: float, what: str) -> None:
    if wait:
        seconds = str(math.ceil(wait))
        raise Refused(429, f"too many {what}; try again in {seconds} s", {"Retry-After": seconds})


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _digest(token: str) -> str:
    """What the cookie holds instead of the token itself."""
    return hashlib.sha256(f"clearir {token}".encode()).hexdigest()
