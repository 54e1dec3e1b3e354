r"""Any model behind an OpenAI-compatible endpoint as a `LanguageModel`.

Three ways to P(option | text, question), and none of them is taken unless it was asked for:

    "logprobs"     the log-probabilities of the first token, one call for each prompt; exact, where servers return them
    "structured"   `draws` answers under a JSON schema that allows the options only
    "sample"       `draws` free answers, matched to the options word for word

Servers differ in what they heed, and many drop what they do not know without a word. So each reply is held against the
request: log-probabilities that did not come, a schema that was not followed, another model, more tokens than allowed,
draws that are all alike. What did not come back is said; it is never assumed.

The key stands in an environment variable and is read when the first call is made. It is sent to the endpoint alone, and
to another endpoint than OpenAI's only if you name the variable. Retries with back-off, heeding Retry-After, are those
of the `openai` client. Chapter: `practice/your-own-model`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import openai

from llma_tutorial import _validate
from llma_tutorial.reading.models._answers import Call, Result, combined
from llma_tutorial.reading.models._estimate import Estimate, estimated
from llma_tutorial.reading.models._one_call import OFFICIAL, ask, new_client
from llma_tutorial.reading.models._protocol import checked_request
from llma_tutorial.reading.models._wording import CONVERSATION, checked_wording, worded

MAX_TOKENS = {"logprobs": 1, "sample": 16, "structured": 64}
OWN = {"model", "messages", "n", "stream", "logprobs", "top_logprobs", "response_format", "temperature", "max_tokens"}


class ChatError(RuntimeError):
    """A call that failed for good: what happened, after how many attempts."""


@dataclass(frozen=True, eq=False)
class ChatModel:
    """A model behind an OpenAI-compatible endpoint, made by `chat`, where the arguments are explained."""

    name: str
    base_url: str
    method: str
    draws: int
    prompt: str
    answer: str
    temperature: float | None
    max_tokens: int
    top_logprobs: int
    incomplete: str
    pseudocount: float
    concurrency: int
    timeout: float
    retries: int
    served_as: str | None
    key_variable: str | None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """All that one answer depends on besides text, question and options."""
        own = ("base_url", "method", "prompt", "answer", "temperature", "max_tokens", "top_logprobs")
        return {name: getattr(self, name) for name in own} | {"extra": dict(self.extra)}

    @property
    def reading(self) -> dict[str, Any]:
        """How results become log-probabilities."""
        return {"pseudocount": self.pseudocount, "incomplete": self.incomplete}

    def __getstate__(self) -> dict[str, Any]:  # the client holds the key, which no pickle may carry away
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def score(self, texts: Sequence[str], questions: Sequence[str], options: Sequence[str]) -> np.ndarray:
        """Log-probabilities of shape (texts, questions, options), normalised over the options."""
        texts, questions, options = checked_request(texts, questions, options)
        calls = self.calls(texts, questions)
        found: dict[int, Result] = {}
        try:
            found.update(self.answers(calls, options))
        except ChatError as error:
            raise ChatError(
                f"{error} {len(found)} of {len(calls)} calls were made; `record` keeps what they cost."
            ) from None
        results = [[found[i + draw] for draw in range(self.draws)] for i in range(0, len(calls), self.draws)]
        return combined(results, options, **self.reading).reshape(len(texts), len(questions), len(options))

    def calls(self, texts: Sequence[str], questions: Sequence[str]) -> list[Call]:
        """Every call that a request needs."""
        return [(text, question, draw) for text in texts for question in questions for draw in range(self.draws)]

    def estimate(
        self,
        texts: Sequence[str],
        questions: Sequence[str],
        options: Sequence[str],
        *,
        price: tuple[float, float] | None = None,
    ) -> Estimate:
        """Calls, tokens and, with a `price` for a million tokens in and out, the cost of a request; nothing is sent."""
        texts, questions, options = checked_request(texts, questions, options)
        return self.estimate_calls(self.calls(texts, questions), options, price)

    def estimate_calls(
        self, calls: Sequence[Call], options: Sequence[str], price: tuple[float, float] | None
    ) -> Estimate:
        """The same for a list of calls."""
        prompts = [worded(self.prompt, text, question, options) for text, question, _ in calls]
        return estimated(prompts, self.max_tokens, price)

    def answers(self, calls: Sequence[Call], options: Sequence[str]) -> Iterator[tuple[int, Result]]:
        """Make calls, several at a time, and hand over (number, result) as they come.

        After a failure no further call is begun; those under way are awaited and handed over before it is raised.
        """
        waiting, running, failure = iter(range(len(calls))), {}, None
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            while True:
                while failure is None and len(running) < self.concurrency and (i := next(waiting, None)) is not None:
                    running[pool.submit(ask, self, calls[i], options)] = i
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    i = running.pop(future)
                    if isinstance(outcome := future.result(), str):
                        failure = failure or f"Call {i + 1} of {len(calls)} failed: {outcome}."
                    else:
                        self._notice(outcome)
                        yield i, outcome
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if failure:
            raise ChatError(failure)

    def _notice(self, result: Result) -> None:
        spent = result.get("tokens", [0, 0])[1]
        if spent > self.max_tokens:
            warnings.warn(
                f"The server does not heed `max_tokens`: {spent} tokens came for {self.max_tokens} asked.", stacklevel=4
            )

    @cached_property
    def _client(self) -> openai.OpenAI:
        return new_client(self)


def chat(
    model: str,
    base_url: str | None = None,
    *,
    method: str = "logprobs",
    draws: int = 20,
    prompt: str = CONVERSATION[0],
    answer: str = CONVERSATION[1],
    temperature: float | None = 1.0,
    max_tokens: int | None = None,
    top_logprobs: int = 20,
    incomplete: str = "raise",
    pseudocount: float = 0.5,
    concurrency: int = 4,
    timeout: float = 60.0,
    retries: int = 5,
    served_as: str | None = None,
    key_variable: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> ChatModel:
    """Open a model behind an OpenAI-compatible endpoint.

    Parameters
    ----------
    model : str
        Name of the model at the endpoint.
    base_url : str, optional
        The endpoint, such as ``"http://localhost:8000/v1"``; OpenAI's own if omitted.
    method : {"logprobs", "sample", "structured"}
        Log-probabilities, free answers drawn repeatedly, or answers drawn under a JSON schema.
    draws : int
        Answers for each text and question, each a call; not used by "logprobs", which makes one.
    prompt, answer : str
        Templates: ``{text}``, ``{question}`` and perhaps ``{options}``; how an ``{option}`` is written as an answer.
    temperature : float, optional
        Sent with each call; None sends none.
    max_tokens : int, optional
        Longest reply; 1, 16 or 64 by method if omitted.
    top_logprobs : int
        How many tokens the server shall list.
    incomplete : {"raise", "accept"}
        What happens to replies that name no option and to options that are not listed: an error, or they are left out
        or stand at their upper bound, with a warning.
    pseudocount : float
        Added to the count of every option by the methods that draw.
    concurrency : int
        Calls under way at once.
    timeout : float
        Seconds without a sign of the server before a call is tried again.
    retries : int
        How often a call is tried again, with back-off, after a fault that may pass.
    served_as : str, optional
        Name under which the endpoint reports the model, if it is another one.
    key_variable : str, optional
        Environment variable that holds the key: OPENAI_API_KEY for OpenAI's own endpoint, none for others, if omitted.
    extra : mapping, optional
        Further fields of each request, such as ``{"reasoning_effort": "low"}``.

    Returns
    -------
    ChatModel

    Raises
    ------
    ValueError
        If an argument is out of range, or the environment holds no key where one is needed.

    Notes
    -----
    Used in the chapter `practice/your-own-model`.

    Examples
    --------
    >>> model = chat("some-model", "http://localhost:8000/v1", method="sample")
    >>> print(model.estimate(["It broke."] * 100, ["Does it last?"], ["yes", "no"], price=(0.5, 2.0)))
    2000 calls, about 44000 tokens in (at most 138000), at most 32000 out: about 0.086 (at most 0.133)
    """
    _validate.one_of("method", method, list(MAX_TOKENS))
    _validate.one_of("incomplete", incomplete, ["raise", "accept"])
    checked_wording(prompt, answer)
    extra = dict(extra or {})
    if taken := sorted(OWN & extra.keys()):
        raise ValueError(f"`extra` must not hold what has its own argument or is set here. Got {taken}.")
    if "seed" in extra and method != "logprobs":
        raise ValueError("`extra` must not hold a seed when answers are drawn: all draws would be one. Got a seed.")
    url = base_url or OFFICIAL
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.query:
        raise ValueError("`base_url` must be an http address without a key in it. Name its variable: `key_variable`.")
    variable = key_variable or ("OPENAI_API_KEY" if base_url is None else None)
    if variable and not os.environ.get(variable):
        raise ValueError(f"`key_variable` must name an environment variable that holds the key. Got {variable}, unset.")
    return ChatModel(
        name=model,
        base_url=url,
        method=method,
        draws=1 if method == "logprobs" else _validate.integer("draws", draws, 1),
        prompt=prompt,
        answer=answer,
        temperature=None if temperature is None else _validate.number("temperature", temperature, 0),
        max_tokens=MAX_TOKENS[method] if max_tokens is None else _validate.integer("max_tokens", max_tokens, 1),
        top_logprobs=_validate.integer("top_logprobs", top_logprobs, 1),
        incomplete=incomplete,
        pseudocount=_validate.number("pseudocount", pseudocount, 0),
        concurrency=_validate.integer("concurrency", concurrency, 1),
        timeout=_validate.number("timeout", timeout, 1e-3),
        retries=_validate.integer("retries", retries, 0),
        served_as=served_as,
        key_variable=variable,
        extra=extra,
    )
