"""What the same rows cost on a server that speaks OpenAI's completions API.

Each row sends its calls wave by wave, many rows at once, as the texts of the prompts that sglc
made; `max_tokens`, `temperature`, `top_p` and `stop` are the program's. Constraints are left out:
no parameter for them is common to all servers. A select asks the server to echo each choice with
its log-probabilities; where it refuses, selects are skipped and counted.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sglc.bench.calls import Call, GenCall, waves_of

KEY_VARIABLE = "OPENAI_API_KEY"
CONCURRENCY = 64
TIMEOUT = 600.0  # seconds a request
MOST_STOPS = 4  # that the API takes

Decode = Callable[[Sequence[int]], str]


class ServerError(Exception):
    """The server cannot be used; the text is a sentence for the user."""


class _Refused(Exception):
    """The server does not do what one request asks."""


@dataclass(frozen=True, slots=True)
class ServerTiming:
    """`completion_tokens` are as the server counts them. `skipped` selects were refused."""

    seconds: float
    requests: int
    completion_tokens: int
    skipped: int


class CompletionsServer:
    """A server at `base_url`, as `http://localhost:8000/v1`. The key is taken from the environment
    variable OPENAI_API_KEY. `model` None is the first that the server lists."""

    def __init__(
        self, base_url: str, *, model: str | None = None, concurrency: int = CONCURRENCY
    ) -> None:
        url = base_url.rstrip("/")
        self._url = url if url.endswith("/v1") else f"{url}/v1"
        self._concurrency = concurrency
        self.model = model or self._first_model()

    def time(self, calls: Sequence[Call], decode: Decode) -> ServerTiming:
        """Send all calls. `decode` gives the text of token ids, control tokens spelt out. Raises
        ServerError."""
        rows: dict[int, list[Call]] = {}
        for call in calls:
            rows.setdefault(call.row, []).append(call)
        start = time.perf_counter()
        with (
            ThreadPoolExecutor(self._concurrency) as senders,
            ThreadPoolExecutor(self._concurrency) as drivers,
        ):

            def drive(of_row: Sequence[Call]) -> list[_Answer]:
                found: list[_Answer] = []
                for wave in waves_of(of_row):
                    bodies = [body for call in wave for body in self._bodies(call, decode)]
                    found += senders.map(self._complete, bodies)
                return found

            answers = [answer for found in drivers.map(drive, rows.values()) for answer in found]
        return ServerTiming(
            time.perf_counter() - start,
            len(answers),
            sum(answer.completion_tokens for answer in answers),
            sum(answer.is_refused for answer in answers),
        )

    def _bodies(self, call: Call, decode: Decode) -> list[dict[str, Any]]:
        """The requests of a call: one of a gen, one for each choice of a select."""
        if isinstance(call, GenCall):
            sampling = call.sampling
            body: dict[str, Any] = {
                "model": self.model,
                "prompt": decode(call.prompt),
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
            }
            if sampling.stop:
                body["stop"] = list(sampling.stop[:MOST_STOPS])
            return [body]
        texts = [decode(call.prompt + choice) for choice in call.choices]
        asked = {"model": self.model, "max_tokens": 0, "echo": True, "logprobs": 1}
        return [{**asked, "prompt": text, "temperature": 0.0} for text in texts]

    def _complete(self, body: dict[str, Any]) -> _Answer:
        try:
            answer = self._send("/completions", body)
        except _Refused as refused:
            if body.get("echo"):
                return _Answer(0, is_refused=True)
            raise ServerError(str(refused)) from None
        if not isinstance(answer.get("choices"), list) or not answer["choices"]:
            raise ServerError(f"{self._url}/completions answered without `choices`")
        usage = answer.get("usage") or {}
        return _Answer(int(usage.get("completion_tokens") or 0))

    def _first_model(self) -> str:
        try:
            models = self._send("/models").get("data")
        except _Refused as refused:
            raise ServerError(f"{refused}; name the model with --server-model") from None
        if not isinstance(models, list) or not models or "id" not in models[0]:
            raise ServerError(f"{self._url} lists no models: name one with --server-model")
        return str(models[0]["id"])

    def _send(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that the server answers. Raises _Refused for 4xx that are about the
        request, else ServerError."""
        url = self._url + path
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(url, data, headers)
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            said = error.read(300).decode("utf-8", "replace").strip()
            message = f"{url} answered {error.code} {error.reason}: {said}"
            if error.code in (400, 404, 405, 422, 501):
                raise _Refused(message) from None
            hint = f"; is {KEY_VARIABLE} right?" if error.code in (401, 403) else ""
            raise ServerError(message + hint) from None
        except ValueError as error:  # of the URL, or of the JSON
            raise ServerError(f"{url}: {error}") from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise ServerError(f"cannot reach {url}: {reason}") from None
        if not isinstance(answer, dict):
            raise ServerError(f"{url} answered no JSON object")
        return answer


@dataclass(frozen=True, slots=True)
class _Answer:
    completion_tokens: int
    is_refused: bool = False
