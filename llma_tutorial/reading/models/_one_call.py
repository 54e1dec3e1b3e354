"""One call to an endpoint: the request, the reply held against it, and what to say when there is none."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import openai

from llma_tutorial.reading.models._answers import (
    Call,
    Ignored,
    Malformed,
    Result,
    answer_from_reply,
    scores_from_tokens,
)
from llma_tutorial.reading.models._wording import worded

if TYPE_CHECKING:
    from llma_tutorial.reading.models._chat import ChatModel

OFFICIAL = "https://api.openai.com/v1"


def ask(model: ChatModel, call: Call, options: Sequence[str]) -> Result | str:
    """The result of one call, or in words why there is none; no exception, which could carry the key."""
    for attempt in range(model.retries + 1):
        try:
            return _read(model, model._client.chat.completions.create(**_request(model, call, options)), options)
        except (Malformed, json.JSONDecodeError) as error:
            problem = f"malformed reply ({error}), {attempt + 1} times"
        except openai.OpenAIError as error:
            return _without_key(model, _reason(model, error))[:400]  # never cut before the key is gone
        except ValueError as error:
            return _without_key(model, str(error))
        if attempt < model.retries:
            time.sleep(min(8.0, 0.5 * 2**attempt))
    return _without_key(model, problem)


def _request(model: ChatModel, call: Call, options: Sequence[str]) -> dict[str, Any]:
    text, question, _ = call
    message = {"role": "user", "content": worded(model.prompt, text, question, options)}
    request: dict[str, Any] = {"model": model.name, "messages": [message], "extra_body": dict(model.extra)}
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


def new_client(model: ChatModel) -> openai.OpenAI:
    """The client that makes a model's calls; it holds the key."""
    headers = {}
    if model.base_url != OFFICIAL:  # the client would tell any endpoint which organisation you belong to
        headers = {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
    return openai.OpenAI(
        base_url=model.base_url,
        api_key=os.environ.get(model.key_variable or "", "none"),
        max_retries=model.retries,
        timeout=model.timeout,
        default_headers=headers,
    )
