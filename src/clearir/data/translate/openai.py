"""Translation by a language model behind any endpoint that speaks the OpenAI protocol (vLLM, Ollama, the cloud)."""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clearir.data.translate.base import flatten
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError
from clearir.support.extras import require
from clearir.support.languages import name

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

logger = logging.getLogger(__name__)

_PROMPT = (
    "Translate each line of the user's message from {source} to {target}. Each line is a search query by itself."
    " Answer with the translations only: one a line, in the same order, as many lines as you were given. Keep numbers,"
    " names and placeholders such as {{name}}, %s or <b> as they are."
)
_TRY_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_LONGEST_WAIT = 300.0  # seconds; an endpoint that asks for more is given up


@dataclass(frozen=True)
class OpenAITranslator:
    """A chat model that gets some lines and answers as many.

    ``OpenAITranslator("Qwen/Qwen3-8B", base_url="http://localhost:8000/v1")``. The key comes from the environment
    alone and stands in no manifest, message or log. Answers with a wrong number of lines are asked for again in halves,
    at last one by one.

    Attributes:
        model: its name at the endpoint.
        base_url: of the endpoint, up to and with ``/v1``.
        api_key_env: environment variable that holds the key; without one no key is sent.
        lines: texts a request.
        concurrency: requests at the same time.
        retries: how often a request is sent again after 429, 5xx, a timeout or a cut connection, waiting twice as long
            each time, or as long as the endpoint's Retry-After says.
        backoff: seconds before the first retry.
        timeout: seconds without an answer.
    """

    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    lines: int = 20
    concurrency: int = 8
    retries: int = 6
    backoff: float = 1.0
    timeout: float = 120.0
    _pause: _Pause = field(default_factory=lambda: _Pause(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require("httpx", "translate")
        require("tenacity", "translate")
        for setting in ("lines", "concurrency"):
            if getattr(self, setting) < 1:
                raise InputError(f"{setting} is {getattr(self, setting)}; it must be at least 1")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("base_url is not an address; write it like http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InputError(
                "base_url holds a user, a password or a query; put the key into the environment variable"
                f" {self.api_key_env}, so that no file contains it"
            )

    @property
    def identity(self) -> str:
        """Endpoint, model and prompt."""
        return f"openai {self.base_url.rstrip('/')} {self.model} prompt={fingerprint(_PROMPT)}"

    @property
    def batch_size(self) -> int:
        """Texts that are in the air at the same time."""
        return self.lines * self.concurrency

    def translate(self, texts: Sequence[str], source: str, target: str) -> Iterator[str]:
        """Translate ``texts`` with ``concurrency`` requests at a time.

        Raises:
            InputError: the endpoint refuses (a wrong key, no such model ...) or does not recover; the message has its
                words, never the key.
        """
        import httpx

        logging.getLogger("httpcore").setLevel(logging.INFO)  # DEBUG shows an answer's headers, which may hold the key
        prompt = _PROMPT.format(source=name(source), target=name(target))
        groups = [[flatten(t) for t in texts[i : i + self.lines]] for i in range(0, len(texts), self.lines)]
        stop = threading.Event()
        client = httpx.Client(
            timeout=self.timeout,
            limits=httpx.Limits(max_connections=self.concurrency),
            verify=ssl.create_default_context(),  # what this machine trusts
        )
        with client, ThreadPoolExecutor(self.concurrency, thread_name_prefix="translate") as pool:
            futures = [
                pool.submit(_group, group, lambda part: self._ask(client, part, prompt, stop)) for group in groups
            ]
            try:
                for future in futures:
                    yield from future.result()
            finally:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, client: httpx.Client, texts: list[str], prompt: str, stop: threading.Event) -> str:
        """One request, sent again as long as that may help."""
        import tenacity

        body = {
            "model": self.model,
            "temperature": 0,
            "messages": [{"role": "system", "content": prompt}, {"role": "user", "content": "\n".join(texts)}],
        }
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AgainError),
            stop=tenacity.stop_after_attempt(self.retries + 1) | tenacity.stop_when_event_set(stop),
            wait=self._wait,
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=tenacity.before_sleep_log(logger, logging.INFO),
            before=lambda _: self._pause.wait(stop),
        )
        try:
            return retrying(self._send, client, json.dumps(body).encode())
        except tenacity.RetryError as error:
            again = error.last_attempt.exception()
            raise InputError(
                f"{self._place()}: gave up after {self.retries + 1} tries, the last: {again}; finished translations"
                " are kept; run it again later or with a lower concurrency"
            ) from again

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until this request is sent again: what the endpoint says, or half to all of a time that doubles."""
        import tenacity

        half, longest = self.backoff / 2, _LONGEST_WAIT / 2
        doubling = tenacity.wait_exponential(half, longest) + tenacity.wait_random_exponential(half, longest)
        again: Any = state.outcome and state.outcome.exception()
        seconds: float = again.wait or doubling(state)
        if again.wait is not None:  # a rate limit holds for all requests
            self._pause.until(time.monotonic() + seconds)
        return seconds

    def _send(self, client: httpx.Client, body: bytes) -> str:
        import httpx

        headers = {"Content-Type": "application/json", "User-Agent": "clearir"}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        try:
            with client.stream("POST", self._place(), content=body, headers=headers) as response:
                if not response.is_success:  # a redirect, too: it would carry the key to another host
                    raise self._refused(response)
                return _content(json.loads(response.read()))
        except (httpx.RequestError, httpx.InvalidURL, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise _AgainError(self._hide(f"{type(error).__name__}: {error}")) from None

    def _refused(self, response: httpx.Response) -> Exception:
        """Try again, or say what to do."""
        text = flatten(next(response.iter_bytes(4000), b"").decode(errors="replace"))
        message = self._hide(f"status {response.status_code}" + (f" ({text[:300]})" if text else ""))
        if response.status_code in _TRY_AGAIN and "insufficient_quota" not in text:
            wait = _retry_after(response.headers.get("Retry-After"))
            if wait is not None and wait > _LONGEST_WAIT:
                return InputError(f"{self._place()}: asks to wait {wait:.0f} s ({message}); run it again then")
            return _AgainError(message, wait)
        advice = {
            401: f"put a valid key into the environment variable {self.api_key_env}",
            403: f"put a key that may use this model into the environment variable {self.api_key_env}",
            404: f"check base_url and that the endpoint has a model {self.model!r}",
        }.get(response.status_code, "check base_url, the model's name and your account")
        return InputError(f"{self._place()}: {message}; {advice}")

    def _place(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    def _key(self) -> str:
        key = os.environ.get(self.api_key_env, "").strip()
        if not key.isprintable() or not key.isascii():
            raise InputError(
                f"the key in {self.api_key_env} contains a line end or another invalid character; set it again"
            )
        return key

    def _hide(self, text: str) -> str:
        key = self._key()
        return text.replace(key, "***") if key else text


class _AgainError(Exception):
    """Worth another try, after ``wait`` seconds where the endpoint said so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _Pause:
    """A moment before which no request is sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moment = 0.0

    def until(self, moment: float) -> None:
        with self._lock:
            self._moment = max(self._moment, moment)

    def wait(self, stop: threading.Event) -> None:
        while not stop.is_set() and (left := self._moment - time.monotonic()) > 0:
            stop.wait(left)


def _group(texts: list[str], ask: Callable[[list[str]], str]) -> list[str]:
    """As many answers as texts."""
    if len(texts) == 1:
        return [flatten(ask(texts))]
    answers = [line for line in map(flatten, ask(texts).split("\n")) if line]
    if len(answers) == len(texts):
        return answers
    logger.info("%d lines came back for %d; asking again in halves", len(answers), len(texts))
    half = len(texts) // 2
    return _group(texts[:half], ask) + _group(texts[half:], ask)


def _content(answer: Any) -> str:
    """The text of a whole answer; "" for one that was refused or cut short (the filter drops and counts those)."""
    try:
        choice = answer["choices"][0]
        content = choice["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise _AgainError("the answer is not a chat completion") from error
    return content if isinstance(content, str) and choice.get("finish_reason") != "length" else ""


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait: a number, or the time until a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
