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

import json
import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import openai
from scipy.special import logsumexp

from llma_tutorial import _validate
from llma_tutorial.reading.models.protocol import (
    CONVERSATION,
    Call,
    Estimate,
    Examples,
    Result,
    checked_examples,
    checked_request,
    checked_wording,
    combined,
    estimated,
    refuse_other_examples,
    turns,
)

OFFICIAL = "https://api.openai.com/v1"
AMBIGUOUS = 0.01  # probability of tokens that begin two options, above which the options cannot be told apart
MAX_TOKENS = {"logprobs": 1, "sample": 16, "structured": 64}
OWN = {"model", "messages", "n", "stream", "logprobs", "top_logprobs", "response_format", "temperature", "max_tokens"}


class ChatError(RuntimeError):
    """A call that failed for good: what happened, after how many attempts."""


class Malformed(ValueError):
    """A reply that is not what the interface promises; the same call may work again."""


class Ignored(ValueError):
    """Something asked for did not come back; asking again does not help."""


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
    examples: Examples = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """All that one answer depends on besides text, question and options."""
        own = ("base_url", "method", "prompt", "answer", "temperature", "max_tokens", "top_logprobs")
        shown = {"examples": [list(example) for example in self.examples]} if self.examples else {}
        return {name: getattr(self, name) for name in own} | {"extra": dict(self.extra)} | shown

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
        refuse_other_examples(self.examples, questions, options)
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
        said = [turns(self.prompt, self.answer, self.examples, text, q, options) for text, q, _ in calls]
        return estimated(said, self.max_tokens, price)

    def answers(self, calls: Sequence[Call], options: Sequence[str]) -> Iterator[tuple[int, Result]]:
        """Make calls, several at a time, and hand over (number, result) as they come.

        After a failure no further call is begun; those under way are awaited and handed over before it is raised.
        """
        waiting, running, failure = iter(range(len(calls))), {}, None
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            while True:
                while failure is None and len(running) < self.concurrency and (i := next(waiting, None)) is not None:
                    running[pool.submit(self.ask, calls[i], options)] = i
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    i = running.pop(future)
                    if isinstance(error := future.exception(), ChatError):
                        failure = failure or f"Call {i + 1} of {len(calls)} failed: {error}."
                    else:
                        self._notice(future.result())
                        yield i, future.result()
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
    def _client(self) -> openai.OpenAI:  # it holds the key
        headers = {}
        if self.base_url != OFFICIAL:  # the client would tell any endpoint which organisation you belong to
            headers = {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
        return openai.OpenAI(
            base_url=self.base_url,
            api_key=os.environ.get(self.key_variable or "", "none"),
            max_retries=self.retries,
            timeout=self.timeout,
            default_headers=headers,
        )

    def ask(self, call: Call, options: Sequence[str]) -> Result:
        """The result of one call.

        Raises
        ------
        ChatError
            Says in words why there is none. It is raised behind the exceptions of the client, none of which comes
            along: they could carry the key.
        """
        for attempt in range(self.retries + 1):
            try:
                reply = self._client.chat.completions.create(**_request(self, call, options))
                return _read(self, reply, options)
            except (Malformed, json.JSONDecodeError) as error:
                problem = _without_key(self, f"malformed reply ({error}), {attempt + 1} times")
            except openai.OpenAIError as error:
                problem = _without_key(self, _reason(self, error))[:400]  # never cut before the key is gone
                break
            except ValueError as error:
                problem = _without_key(self, str(error))
                break
            if attempt < self.retries:
                time.sleep(min(8.0, 0.5 * 2**attempt))
        raise ChatError(problem)


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
    examples: Sequence[tuple[str, str]] = (),
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
    examples : sequence of (text, answer)
        Texts whose answer, one of the options, is known: each a message with its reply before the text is asked about.
        They answer one question, so a request may hold no other.

    Returns
    -------
    ChatModel

    Notes
    -----
    Chapter `practice/your-own-model`.

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
        draws=min(_validate.integer("draws", draws, 1), 1 if method == "logprobs" else draws),
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
        examples=checked_examples(examples),
    )


def _request(model: ChatModel, call: Call, options: Sequence[str]) -> dict[str, Any]:
    text, question, _ = call
    said = turns(model.prompt, model.answer, model.examples, text, question, options)
    messages = [{"role": ("user", "assistant")[i % 2], "content": part} for i, part in enumerate(said)]
    request: dict[str, Any] = {"model": model.name, "messages": messages, "extra_body": dict(model.extra)}
    if "max_completion_tokens" not in model.extra:  # the newer name of the same
        request["max_tokens"] = model.max_tokens
    if model.temperature is not None:
        request["temperature"] = model.temperature
    if model.method == "logprobs":
        request |= {"logprobs": True, "top_logprobs": model.top_logprobs}
    if model.method == "structured":
        answers = [model.answer.format(option=option) for option in options]
        schema = {"type": "object", "properties": {"answer": {"type": "string", "enum": answers}}}
        schema |= {"required": ["answer"], "additionalProperties": False}
        wrapped = {"name": "answer", "strict": True, "schema": schema}
        request["response_format"] = {"type": "json_schema", "json_schema": wrapped}
    return request


def _read(model: ChatModel, reply: Any, options: Sequence[str]) -> Result:
    try:  # the client does not check what it parses
        choice, name = reply.choices[0], reply.model
        content = choice.message.content or choice.message.refusal or ""
        listed = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else None
        tokens = {entry.token: float(entry.logprob) for entry in listed or []}
        spent = [reply.usage.prompt_tokens, reply.usage.completion_tokens] if reply.usage else None
    except (AttributeError, TypeError, IndexError, ValueError):
        raise Malformed("no choice with a message in it") from None
    if not _is_this(model, name):
        raise Ignored(f"`model` came back as {name!r}. If that is {model.name!r}, pass served_as={name!r}")
    written = {option: model.answer.format(option=option) for option in options}
    if model.method != "logprobs":
        result = answer_from_reply(_without_key(model, content), written, model.method == "structured")
    elif not tokens:
        raise Ignored(
            "`logprobs` did not come back: the server ignores them for this model. Pass "
            'method="sample" or method="structured" to draw answers instead'
        )
    else:
        result = scores_from_tokens(tokens, written)
    return result | ({"tokens": spent} if spent else {})


def _is_this(model: ChatModel, name: Any) -> bool:
    """Whether a reply comes from the model asked: its name, perhaps with a revision or a date."""
    if model.served_as is not None:
        return name == model.served_as
    return isinstance(name, str) and bool(re.fullmatch(re.escape(model.name) + r"(@.*|-\d{4}[\d-]*)?", name))


def _reason(model: ChatModel, error: openai.OpenAIError) -> str:
    attempts = f"after {model.retries + 1} attempts"
    if isinstance(error, openai.APITimeoutError):
        return f"no reply within {model.timeout:g} s, {attempts}"
    if isinstance(error, openai.APIConnectionError):
        return f"the connection to {model.base_url} was refused or cut, {attempts}"
    if isinstance(error, openai.APIStatusError):
        again = f", {attempts}" if error.status_code in (408, 409, 429) or error.status_code >= 500 else ""
        return f"HTTP {error.status_code}{again}: {error.response.text.strip()}"  # servers differ in how they word it
    return f"{type(error).__name__}: {error}"


def _without_key(model: ChatModel, text: str) -> str:
    """What a server says may hold the key that it was sent."""
    key = os.environ.get(model.key_variable or "")
    return text.replace(key, f"[{model.key_variable}]") if key else text


def plain(string: str) -> str:
    """An answer without case and without the punctuation that models put round it."""
    return string.strip(" \t\r\n.,;:!?\"'`*()").casefold()


def scores_from_tokens(listed: Mapping[str, float], options: Mapping[str, str]) -> Result:
    """Scores of written options from the log-probabilities of first tokens.

    A token speaks for the option that it is, or that it alone begins; tokens that differ in case or in spaces add up.
    """
    written = {option: plain(answer) for option, answer in options.items()}
    found: dict[str, list[float]] = {option: [] for option in options}
    ambiguous = 0.0
    for token, value in listed.items():
        word = plain(token)
        owners = [option for option, answer in written.items() if answer == word]
        owners = owners or [option for option, answer in written.items() if word and answer.startswith(word)]
        if len(owners) == 1:
            found[owners[0]].append(value)
        elif owners:
            ambiguous += math.exp(value)
    if ambiguous > AMBIGUOUS:
        raise ValueError(
            f"`options` must begin with different tokens. Got {ambiguous:.2g} of the probability on tokens that begin "
            f'several of {list(options)}; word them differently, or pass method="sample".'
        )
    scores = [float(logsumexp(values)) if values else None for values in found.values()]
    if None not in scores:
        return {"scores": scores}
    rest = 1 - sum(math.exp(value) for value in listed.values())
    return {"scores": scores, "at_most": min(*listed.values(), 0.0, math.log(max(rest, 1e-12)))}


def answer_from_reply(reply: str, options: Mapping[str, str], structured: bool) -> Result:
    """The option that a drawn reply names, and nothing else; None if it names none."""
    said = reply
    if structured:
        try:
            said = json.loads(reply)["answer"]
        except (ValueError, TypeError, KeyError):
            raise Ignored(
                f"`response_format` came back unheeded: its reply is {reply[:60]!r} and no JSON of the schema. "
                'Pass method="sample"'
            ) from None
    words = [plain(answer) for answer in options.values()]
    word = plain(str(said))
    return {"answer": words.index(word) if word in words else None, "reply": reply}
