"""Against a server of our own on loopback that answers in capitals, with faults put in."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from clearir.data.translate import OpenAITranslator, TranslationCache, translate_texts
from clearir.support.errors import InputError

KEY = "sk-very-secret-0123456789"
TEXTS = [f"question number {i}" for i in range(12)]
UPPER = [text.upper() for text in TEXTS]


class Server(ThreadingHTTPServer):
    """``faults`` are used up one a request; each is a function of the handler that answers in place of the model."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.requests, self.at_once, self.most_at_once = [], [], 0, 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is part of the tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.reply(500, {"error": "a redirect was followed"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((time.monotonic(), self.path, dict(self.headers), body))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            fault = self.server.faults.pop(0) if self.server.faults else answer_all
        self.counted = True
        try:
            fault(self, body["messages"][1]["content"].split("\n"))
        finally:
            self.done()

    def done(self):
        """Once a request: before the client can have the answer and ask for more."""
        with self.server.lock:
            self.server.at_once -= self.counted
            self.counted = False

    def reply(self, status, value, **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for header, content in headers.items():
            self.send_header(header.replace("_", "-"), content)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.done()
        self.wfile.write(data)

    def say(self, content, finish_reason="stop"):
        self.reply(200, {"choices": [{"message": {"content": content}, "finish_reason": finish_reason}]})


def answer_all(handler, lines):
    handler.say("\n".join(line.upper() for line in lines))


def status(code, message="trouble", **headers):
    return lambda handler, lines: handler.reply(code, {"error": {"message": message}}, **headers)


def cut(handler, lines):
    """Half an answer, then the connection is reset."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"mess')
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hang_up(handler, lines):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def translator(server, **options):
    return OpenAITranslator("tiny", base_url=server.url, **({"backoff": 0.01, "lines": 3, "concurrency": 2} | options))


def test_translates_in_order_with_key_model_and_prompt(server):
    assert list(translator(server).translate(TEXTS, "en", "es")) == UPPER
    _, path, headers, body = server.requests[0]
    assert (path, headers["Authorization"], body["model"]) == ("/v1/chat/completions", f"Bearer {KEY}", "tiny")
    assert "from English to Spanish" in body["messages"][0]["content"]
    assert "{name}" in body["messages"][0]["content"]
    assert len(server.requests) == 4  # 12 texts, 3 a request


def test_a_local_server_needs_no_key(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert list(translator(server).translate(["a"], "en", "es")) == ["A"]
    assert "Authorization" not in server.requests[0][2]


def test_no_more_requests_at_once_than_allowed(server):
    def slow(handler, lines):
        time.sleep(0.1)
        answer_all(handler, lines)

    server.faults = [slow] * 4
    assert list(translator(server).translate(TEXTS, "en", "es")) == UPPER
    assert server.most_at_once == 2


@pytest.mark.parametrize(
    "fault", [status(500), status(503), status(429), cut, hang_up, lambda h, _: h.reply(200, b"{}")]
)
def test_what_may_pass_is_tried_again(server, fault):
    server.faults = [fault, fault, fault]
    assert list(translator(server).translate(TEXTS, "en", "es")) == UPPER
    assert len(server.requests) == 4 + 3


def test_waits_twice_as_long_each_time(server):
    server.faults = [status(500)] * 3
    list(translator(server, backoff=0.1, concurrency=1).translate(["a"], "en", "es"))
    times = [moment for moment, *_ in server.requests]
    for wait, most in zip((b - a for a, b in pairwise(times)), (0.1, 0.2, 0.4), strict=True):
        assert most / 2 <= wait < most + 1


@pytest.mark.parametrize("value", ["0.5", None])
def test_retry_after_holds_for_all_requests(server, value):
    value = value or formatdate(time.time() + 2, usegmt=True)  # whole seconds: between 1 and 2 from now
    server.faults = [status(429, Retry_After=value)]
    assert list(translator(server, concurrency=4).translate(TEXTS[:3] * 3, "en", "es")) == UPPER[:3] * 3
    times = [moment for moment, *_ in server.requests]
    assert max(times) - min(times) >= 0.45
    started = [moment - times[0] for moment in times]
    assert Counter(moment > 0.45 for moment in started)[True] >= 1
    assert not [moment for moment in started if 0.2 < moment < 0.45]  # nobody knocks in between


def test_an_endpoint_that_asks_for_an_hour_is_given_up(server):
    server.faults = [status(429, Retry_After="3600")]
    with pytest.raises(InputError, match="asks to wait 3600 s"):
        list(translator(server).translate(["a"], "en", "es"))


def test_gives_up_in_the_end_and_keeps_what_is_done(server, tmp_path):
    server.faults = [answer_all, *[status(500, "on fire")] * 3]
    with pytest.raises(InputError, match=r"gave up after 3 tries, the last: status 500 .*on fire"):
        translate_texts(TEXTS, translator(server, retries=2, concurrency=1), "en", "es", cache=tmp_path / "c")
    assert len(TranslationCache(tmp_path / "c").get(translator(server).identity, "en", "es", TEXTS)) == 3
    assert translate_texts(TEXTS, translator(server), "en", "es", cache=tmp_path / "c") == UPPER


def test_a_wrong_number_of_lines_is_asked_for_in_halves(server):
    def joins(handler, lines):
        handler.say(" ".join(lines).upper() if len(lines) > 1 else lines[0].upper())

    server.faults = [joins] * 20
    assert list(translator(server, lines=4, concurrency=1).translate(TEXTS[:4], "en", "es")) == UPPER[:4]
    asked = [len(body["messages"][1]["content"].split("\n")) for *_, body in server.requests]
    assert asked == [4, 2, 1, 1, 2, 1, 1]


def test_empty_lines_between_answers_do_no_harm(server):
    server.faults = [lambda handler, lines: handler.say("\n\n".join(line.upper() for line in lines) + "\n")]
    assert list(translator(server, concurrency=1).translate(TEXTS[:3], "en", "es")) == UPPER[:3]


def test_one_text_may_be_answered_in_several_lines(server):
    server.faults = [lambda handler, lines: handler.say("ONE\nTWO")]
    assert list(translator(server).translate(["one two"], "en", "es")) == ["ONE TWO"]


def test_an_answer_that_was_refused_or_cut_short_is_empty(server):
    server.faults = [lambda h, _: h.say(None), lambda h, _: h.say("HALF AN ANS", finish_reason="length")]
    one = translator(server, lines=1, concurrency=1)
    assert list(one.translate(["a", "b", "c"], "en", "es")) == ["", "", "C"]


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (
            401,
            f"Incorrect API key provided: {KEY}",
            r"Incorrect API key provided: \*\*\*.* into the environment variable OPENAI",
        ),
        (404, "no such model", "has a model 'tiny'"),
        (400, "bad", "check base_url"),
        (429, "insufficient_quota", "your account"),
        (302, "moved", "status 302"),
    ],
)
def test_what_will_not_pass_is_told_at_once(server, code, message, advice):
    server.faults = [status(code, message, Location=server.url + "/elsewhere")] * 2
    with pytest.raises(InputError, match=advice) as caught:
        list(translator(server, concurrency=1).translate(["a"], "en", "es"))
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


def test_the_key_stands_nowhere(server, tmp_path, caplog):
    server.faults = [status(500, f"your key {KEY}")] * 9
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError) as caught:
        translate_texts(TEXTS, translator(server, retries=1, concurrency=1), "en", "es", cache=tmp_path / "c")
    server.faults = []
    translate_texts(TEXTS, translator(server), "en", "es", cache=tmp_path / "c")
    assert "status 500" in caplog.text
    for text in (caplog.text, str(caught.value), repr(translator(server)), translator(server).identity):
        assert KEY not in text
    assert KEY.encode() not in (tmp_path / "c").read_bytes()


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(InputError, match="gave up after 2 tries, the last: ConnectError"):
        list(OpenAITranslator("x", base_url=url, retries=1, backoff=0.01).translate(["a"], "en", "es"))


def test_a_server_that_does_not_answer(server):
    server.faults = [lambda handler, lines: time.sleep(0.5)]
    assert list(translator(server, timeout=0.2).translate(["a"], "en", "es")) == ["A"]


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "file:///etc/passwd"},
        {"base_url": "http://user:secret@localhost/v1"},
        {"base_url": "http://localhost/v1?key=secret"},
        {"lines": 0},
        {"concurrency": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(options):
    with pytest.raises(InputError) as caught:
        OpenAITranslator("x", **options)
    assert "secret" not in str(caught.value)


def test_a_key_with_a_line_end_is_refused_unseen(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nInjected: header")
    with pytest.raises(InputError, match="the key in OPENAI_API_KEY") as caught:
        list(translator(server).translate(["a"], "en", "es"))
    assert KEY not in str(caught.value)
