"""The completions baseline against a small server of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sglc.bench.calls import Call, GenCall, ScoreCall
from sglc.bench.openai_baseline import CompletionsServer, ServerError
from sglc.runtime.engine.request import Sampling

Reply = tuple[int, Any]


class Server:
    """Answers as `reply(path, body)` says; `requests` are (path, body, key)."""

    def __init__(self, reply: Callable[[str, Any], Reply]) -> None:
        self.requests: list[tuple[str, Any, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                server.requests.append((self.path, body, self.headers["Authorization"]))
                status, answer = reply(self.path, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    servers: list[Server] = []

    def start(reply: Callable[[str, Any], Reply]) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def complete(path: str, body: Any) -> Reply:
    if path == "/v1/models":
        return 200, {"data": [{"id": "small"}, {"id": "large"}]}
    usage = {"completion_tokens": body["max_tokens"]}
    return 200, {"choices": [{"text": "x"}], "usage": usage}


def spell(ids: Any) -> str:
    return " ".join(map(str, ids))


CALLS: list[Call] = [
    GenCall(0, 0, (1, 2), 5, Sampling(max_tokens=7, temperature=0.5, stop=(".", "\n"))),
    GenCall(0, 1, (1, 2, 3), 2, Sampling(max_tokens=4, temperature=0.0)),
    GenCall(1, 0, (9,), 2, Sampling(max_tokens=4, temperature=0.0)),
    ScoreCall(1, 1, (9, 8), ((4,), (5, 6))),
]


def test_prompts_and_options_are_the_programs(serve, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server = serve(complete)
    timing = CompletionsServer(server.url).time(CALLS, spell)
    assert (timing.requests, timing.completion_tokens, timing.skipped) == (5, 15, 0)
    assert 0 < timing.seconds < 30
    assert {key for _, _, key in server.requests} == {"Bearer secret"}
    sent = {body["prompt"]: body for path, body, _ in server.requests[1:]}
    common = {"model": "small", "top_p": 1.0}
    assert sent["1 2"] == {
        **common, "prompt": "1 2", "max_tokens": 7, "temperature": 0.5, "stop": [".", "\n"],
    }  # fmt: skip
    assert sent["1 2 3"] == {**common, "prompt": "1 2 3", "max_tokens": 4, "temperature": 0.0}
    for prompt in ("9 8 4", "9 8 5 6"):
        body = sent[prompt]
        assert (body["max_tokens"], body["echo"], body["logprobs"]) == (0, True, 1)
    # a row's later call waits for its earlier one
    order = [body["prompt"] for _, body, _ in server.requests[1:]]
    assert order.index("1 2") < order.index("1 2 3") and order.index("9") < order.index("9 8 4")


def test_rows_are_sent_at_once(serve) -> None:
    gate = threading.Barrier(8)  # opens when eight requests are in flight

    def reply(path: str, body: Any) -> Reply:
        gate.wait(20)
        return complete(path, body)

    server = serve(reply)
    calls = [GenCall(row, 0, (row,), 2, Sampling()) for row in range(8)]
    timing = CompletionsServer(server.url, model="m").time(calls, spell)
    assert timing.requests == 8


def test_refused_selects_are_skipped_and_counted(serve) -> None:
    def reply(path: str, body: Any) -> Reply:
        if body and body.get("echo"):
            return 400, {"error": "echo is not supported"}
        return complete(path, body)

    timing = CompletionsServer(serve(reply).url).time(CALLS, spell)
    assert (timing.requests, timing.skipped) == (5, 2)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ((404, b"no such model"), "completions answered 404 Not Found: no such model"),
        ((401, b"who?"), "answered 401 Unauthorized: who?; is OPENAI_API_KEY right?"),
        ((500, b""), "completions answered 500"),
        ((200, b"<html>"), "completions: Expecting value"),
        ((200, []), "answered no JSON object"),
        ((200, {"choices": []}), "answered without `choices`"),
    ],
    ids=["404", "401", "500", "no JSON", "a list", "no choices"],
)
def test_what_a_server_does_wrong_is_a_sentence(serve, reply: Reply, sentence: str) -> None:
    server = serve(lambda path, body: reply)
    with pytest.raises(ServerError) as caught:
        CompletionsServer(server.url, model="m").time(CALLS, spell)
    assert sentence in str(caught.value)


def test_a_server_that_is_not_there(serve) -> None:
    server = serve(complete)
    server.close()
    server.close = lambda: None
    with pytest.raises(ServerError, match=r"cannot reach http://127.*/v1/models: .*refused"):
        CompletionsServer(server.url)


@pytest.mark.parametrize("reply", [(404, b""), (200, {"data": []}), (200, {})])
def test_servers_that_list_no_models_need_a_name(serve, reply: Reply) -> None:
    with pytest.raises(ServerError, match="--server-model"):
        CompletionsServer(serve(lambda path, body: reply).url.removesuffix("/v1"))


def test_a_url_without_a_scheme() -> None:
    with pytest.raises(ServerError, match="unknown url type"):
        CompletionsServer("localhost:8000")
