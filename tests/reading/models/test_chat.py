"""`chat` against real servers on loopback: what they return, what they ignore, and what goes wrong on the way."""

import json
import logging
import math
import pickle
import re
import threading
import traceback

import numpy as np
import openai._base_client
import pytest
from reading.models import logprob_server
from scipy.stats import binomtest

from llma_tutorial.reading.corpora import generate, world
from llma_tutorial.reading.models import chat, classroom, hub
from llma_tutorial.reading.models.chat_models import ChatError, answer_from_reply, scores_from_tokens
from llma_tutorial.reading.models.protocol import combined

OPTIONS = ["yes", "no", "unsaid"]
READER = {"prompt": "{text}<ask>{question}", "answer": "<{option}>"}  # how the classroom reader is asked
KEY = "very-secret-0123456789"


@pytest.fixture
def naps(monkeypatch):
    """Waits between attempts, noted and not waited for."""
    seconds = []
    monkeypatch.setattr(openai._base_client.time, "sleep", seconds.append)
    return seconds


def fast(server, **changes):
    return chat("m", server.url, **{"retries": 2, "timeout": 20, **changes})


@pytest.fixture(scope="session")
def texts():
    return generate(world("reviews"), 12, rng=np.random.default_rng(4)).frame["text"].tolist()


# --- A server that returns log-probabilities ------------------------------------------------------------------------


def test_classroom_hub_and_chat_agree(texts):
    """Three routes to one model: a tree of branches, a shared cache, a server in which no line of the package is."""
    prompts = world("reviews").prompts
    http = logprob_server.serve(classroom("reader").folder)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        model = chat("reader", f"http://127.0.0.1:{http.server_port}/v1", top_logprobs=100, **READER)
        through_chat = model.score(texts, prompts, OPTIONS)
    finally:
        http.shutdown()
        http.server_close()
    expected = classroom("reader").score(texts, prompts, OPTIONS)
    assert hub(classroom("reader").folder, **READER).score(texts, prompts, OPTIONS) == pytest.approx(expected, abs=1e-3)
    assert through_chat == pytest.approx(expected, abs=1e-3)
    assert len(set(expected.argmax(axis=-1).ravel())) == 3  # it says each of its answers somewhere


def test_scores_by_hand(server):
    found = fast(server).score(["it broke"], ["does it last"], OPTIONS)
    assert np.exp(found[0, 0]) == pytest.approx(np.array([0.7, 0.2, 0.06]) / 0.96)
    asked = server.bodies[0]
    assert asked["messages"] == [
        {"role": "user", "content": "it broke\n\ndoes it last\nAnswer with one of: yes, no, unsaid."}
    ]
    wanted = {"logprobs": True, "top_logprobs": 20, "max_tokens": 1, "temperature": 1.0, "model": "m"}
    assert {name: asked[name] for name in wanted} == wanted


def test_examples_are_messages_with_their_replies(server):
    shown = [("it lasts", "yes"), ("it cracked", "no")]
    model = fast(server, examples=shown, answer="<{option}>", method="sample", draws=1)
    model.estimate(["it broke"], ["does it last"], OPTIONS)
    with pytest.raises(ValueError, match="must cover every reply"):
        model.score(["it broke"], ["does it last"], OPTIONS)
    ask = "{}\n\ndoes it last\nAnswer with one of: yes, no, unsaid."
    roles = ["user", "assistant", "user", "assistant", "user"]
    said = [ask.format("it lasts"), "<yes>", ask.format("it cracked"), "<no>", ask.format("it broke")]
    assert server.bodies[0]["messages"] == [
        {"role": role, "content": part} for role, part in zip(roles, said, strict=True)
    ]
    estimate = model.estimate(["it broke"], ["does it last"], OPTIONS)
    assert (estimate.calls, estimate.tokens_in_at_most) == (1, sum(map(len, said)) + 16 * 5)
    assert model.parameters["examples"] == [["it lasts", "yes"], ["it cracked", "no"]]
    assert "examples" not in fast(server).parameters
    with pytest.raises(ValueError, match=r"`questions` must hold the one that `examples` answer. Got 2"):
        model.score(["it broke"], ["a", "b"], OPTIONS)
    with pytest.raises(ValueError, match=r"`examples` must have answers among the options. Got 'yes'"):
        model.score(["it broke"], ["a"], ["no", "never"])


def test_one_call_gives_a_result_or_raises(server, naps):
    model = fast(server)
    assert model.ask(("one", "good", 0), OPTIONS)["scores"] == pytest.approx(np.log([0.7, 0.2, 0.06]), abs=1e-6)
    server.script["bad"] = [404]
    with pytest.raises(ChatError, match=r"^HTTP 404: .*fault 404") as caught:
        model.ask(("one", "bad", 0), OPTIONS)
    assert caught.value.__context__ is None  # what the client raised could carry the key


# --- transformers serve ---------------------------------------------------------------------------------------------


def test_transformers_serve_ignores_log_probabilities_and_chat_says_so(serving, reader_folder):
    model = chat(str(reader_folder), serving, **READER)
    with pytest.raises(ChatError, match=r"`logprobs` did not come back: the server ignores them.*method=\"sample\""):
        model.score(["it broke"], ["does it last?"], OPTIONS)


def test_transformers_serve_ignores_the_schema_and_chat_says_so(serving, reader_folder):
    model = chat(str(reader_folder), serving, method="structured", draws=1, **READER)
    with pytest.raises(ChatError, match=r"`response_format` came back unheeded.*method=\"sample\""):
        model.score(["it broke"], ["does it last?"], OPTIONS)


def test_transformers_serve_names_another_model(serving):
    with pytest.raises(ChatError, match=r"HTTP 400: .*Server is pinned"):
        chat("another", serving, **READER).score(["it broke"], ["does it last?"], OPTIONS)


def test_drawn_answers_have_the_frequencies_of_the_model(serving, reader_folder, texts):
    """Exact binomial intervals, 9,999 in 10,000, around 18 frequencies; one call at a time and a seeded server."""
    prompts = world("reviews").prompts
    expected = np.exp(classroom("reader").score(texts, prompts, OPTIONS))
    doubtful = np.argsort(expected.max(axis=-1), axis=None)[:6]  # where the model is least certain
    model = chat(str(reader_folder), serving, method="sample", draws=60, concurrency=1, pseudocount=0, **READER)
    for t, q in zip(*np.unravel_index(doubtful, expected.shape[:2]), strict=True):
        found = np.exp(model.score([texts[t]], [prompts[q]], OPTIONS))[0, 0]
        for p, frequency in zip(expected[t, q], found, strict=True):
            interval = binomtest(round(frequency * 60), 60).proportion_ci(0.9999)
            assert interval.low <= p <= interval.high
    assert expected.max(axis=-1).min() < 0.9


# --- What was asked for and did not come back ------------------------------------------------------------------------


def test_log_probabilities_that_do_not_come_back(server):
    server.logprobs = None
    with pytest.raises(ChatError, match=r"Call 1 of 1 failed: `logprobs` did not come back"):
        fast(server).score(["a"], ["b"], OPTIONS)
    assert server.asked.total() == 1  # asking again would not help


@pytest.mark.parametrize("content", ["yes", '{"reply": "yes"}', '["yes"]', "", '{"answer": "yes"'])
def test_a_schema_that_is_not_followed(server, content):
    server.content = content
    with pytest.raises(ChatError, match=r"`response_format` came back unheeded"):
        fast(server, method="structured", draws=1).score(["a"], ["b"], OPTIONS)


def test_structured_answers(server):
    server.content = '{"answer": "unsaid"}'
    found = fast(server, method="structured", draws=4, pseudocount=1).score(["a"], ["b"], OPTIONS)
    assert np.exp(found[0, 0]) == pytest.approx(np.array([1, 1, 5]) / 7)
    schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["answer"]["enum"] == OPTIONS


def test_options_that_are_not_listed(server):
    server.logprobs = [("yes", math.log(0.7)), ("maybe", math.log(0.2)), ("No", math.log(0.05))]
    with pytest.raises(
        ValueError, match=r"`options` must be among the tokens.*'unsaid' and 0 more; each is at most 0.05"
    ):
        fast(server).score(["a"], ["b"], OPTIONS)
    with pytest.warns(UserWarning, match=r"stand at their upper bounds. Got none for 'unsaid'"):
        found = fast(server, incomplete="accept").score(["a"], ["b"], OPTIONS)
    assert np.exp(found[0, 0]) == pytest.approx(np.array([0.7, 0.05, 0.05]) / 0.8)


def test_a_model_that_wants_to_say_something_else(server):
    server.logprobs = [("\n", math.log(0.9)), ("yes", math.log(0.06)), ("no", math.log(0.03)), ("un", math.log(0.01))]
    with pytest.warns(UserWarning, match=r"The options hold only 0.1 of the probability"):
        fast(server).score(["a"], ["b"], OPTIONS)


def test_replies_that_name_no_option(server):
    server.content = "As a language model"
    with pytest.raises(
        ValueError, match=r"`options` must cover every reply. Got 3 of 3 .* first 'As a language model'"
    ):
        fast(server, method="sample", draws=3).score(["a"], ["b"], OPTIONS)
    with (
        pytest.warns(UserWarning, match=r"3 of 3 replies named no option"),
        pytest.raises(ValueError, match=r"must cover some reply to every prompt. Got none for prompt 0"),
    ):
        fast(server, method="sample", draws=3, incomplete="accept").score(["a"], ["b"], OPTIONS)


def test_draws_that_are_all_alike_are_mentioned(server):
    with pytest.warns(UserWarning, match=r"All draws of each prompt were alike: .* does not heed `temperature`"):
        found = fast(server, method="sample", draws=10).score(["a", "b"], ["c"], OPTIONS)
    assert np.exp(found[0, 0]) == pytest.approx(np.array([10.5, 0.5, 0.5]) / 11.5)


def test_more_tokens_than_allowed_are_mentioned(server):
    server.tokens = 57
    with pytest.warns(UserWarning, match=r"does not heed `max_tokens`: 57 tokens came for 1 asked"):
        fast(server).score(["a"], ["b"], OPTIONS)


@pytest.mark.parametrize("name", ["other", "m-mini", "m-32k", "M", None, ""])
def test_another_model(server, name):
    server.model = name or " "
    with pytest.raises(ChatError, match=r"`model` came back as .* pass served_as="):
        fast(server).score(["a"], ["b"], OPTIONS)
    assert server.asked.total() == 1


@pytest.mark.parametrize(
    ("name", "served_as"), [("m-2024-08-06", None), ("m@main", None), ("m-0613", None), ("x", "x")]
)
def test_the_same_model_under_a_longer_name(server, name, served_as):
    server.model = name
    assert fast(server, served_as=served_as).score(["a"], ["b"], OPTIONS).shape == (1, 1, 3)


# --- Faults ---------------------------------------------------------------------------------------------------------

FAULTS = {
    "too many": ((429, 3), r"HTTP 429, after 3 attempts"),
    "server": (500, r"HTTP 500, after 3 attempts: .*fault 500"),
    "overloaded": (503, r"HTTP 503, after 3 attempts"),
    "time-out": ("slow", r"no reply within 1 s, after 3 attempts"),
    "cut": ("cut", r"the connection to http://127\.0\.0\.1:\d+/v1 was refused or cut, after 3 attempts"),
    "no reply": ("refuse", r"the connection to .* was refused or cut, after 3 attempts"),
    "truncated": ("truncated", r"malformed reply \(.*\), 3 times"),
    "malformed": (b'{"choices": [{]}', r"malformed reply \(.*\), 3 times"),
    "empty": (b'{"id": "1"}', r"malformed reply \(no choice with a message in it\), 3 times"),
    "list": (b"[1, 2]", r"malformed reply \(no choice"),
    "no choices": (b'{"choices": [], "model": "m"}', r"malformed reply \(no choice"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_costs_one_more_attempt(server, naps, fault):
    server.script["bad"] = [FAULTS[fault][0]] * 2
    patience = 1 if fault == "time-out" else 20
    found = fast(server, timeout=patience).score(["one", "two"], ["good", "bad"], OPTIONS)
    assert np.exp(found) == pytest.approx(np.tile(np.array([0.7, 0.2, 0.06]) / 0.96, (2, 2, 1)))
    assert server.answered.total() == 4
    assert set(server.answered.values()) == {1}  # nothing doubled
    assert server.asked.total() == 6
    assert len(naps) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_named(server, naps, fault):
    what, message = FAULTS[fault]
    server.script["bad"] = [what] * 3
    with pytest.raises(ChatError, match=rf"Call 2 of 4 failed: {message}.*`record` keeps what they cost"):
        fast(server, concurrency=1, timeout=1).score(["one", "two"], ["good", "bad"], OPTIONS)
    assert server.answered.total() == 1  # no call after the failure


def test_no_retry_where_it_cannot_help(server, naps):
    for status in (400, 401, 403, 404, 422):
        server.script["bad"] = [status]
        with pytest.raises(ChatError, match=rf"HTTP {status}: .*fault {status}"):
            fast(server).score(["one"], ["bad"], OPTIONS)
    assert server.asked.total() == 5
    assert naps == []


def test_retry_after_is_heeded_and_back_off_grows(server, naps):
    server.script["bad"] = [(429, 7), 500, 500]
    fast(server, retries=3).score(["one"], ["bad"], OPTIONS)
    assert naps[0] == 7
    assert 0.75 <= naps[1] <= 1 < 1.5 <= naps[2] <= 2  # 2^k / 2 seconds, less up to a quarter at random


def test_calls_are_made_together_but_no_more_than_allowed(server):
    inside, most, gate = [0], [0], threading.Barrier(3)
    good = server.reply

    def reply(*arguments):
        with server.lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        gate.wait(10)  # breaks, and fails the test, unless three calls are under way at once
        with server.lock:
            inside[0] -= 1
        good(*arguments)

    server.reply = reply
    fast(server, concurrency=3, timeout=10).score([str(i) for i in range(9)], ["q"], OPTIONS)
    assert most[0] == 3


# --- The key --------------------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_never_seen(server, naps, monkeypatch, caplog, recwarn):
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    model = fast(server, key_variable="MY_KEY", method="sample", draws=2)
    server.content = f"your key is {KEY}"
    server.script["bad"] = [401]
    seen = [repr(model), str(model), json.dumps(model.parameters), repr(pickle.dumps(model))]
    for question in ("good", "bad"):
        with pytest.raises((ChatError, ValueError)) as caught:
            model.score(["one"], [question], OPTIONS)
        lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        seen += ["".join(lines), repr(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
        tb = caught.value.__traceback__
        while tb is not None:
            seen.append(repr(tb.tb_frame.f_locals) if "llma_tutorial" in tb.tb_frame.f_code.co_filename else "")
            tb = tb.tb_next
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert "[MY_KEY]" in "".join(seen)
    assert "chat/completions" in caplog.text
    assert KEY not in "".join([*seen, caplog.text, *(str(warning.message) for warning in recwarn)])
    assert vars(pickle.loads(pickle.dumps(model))) == {k: v for k, v in vars(model).items() if k != "_client"}


def test_the_key_of_one_house_is_not_sent_to_another(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    fast(server).score(["one"], ["q"], OPTIONS)
    assert "secret" not in json.dumps(server.headers)


def test_a_missing_key_and_a_key_in_the_address(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match=r"`key_variable` must name .* that holds the key. Got OPENAI_API_KEY, unset"):
        chat("gpt")
    for url in (f"https://user:{KEY}@host/v1", f"https://host/v1?key={KEY}", "ftp://host"):
        with pytest.raises(ValueError, match="`base_url` must be an http address without a key") as caught:
            chat("gpt", url)
        assert KEY not in str(caught.value)


# --- Pieces ---------------------------------------------------------------------------------------------------------


def test_tokens_that_differ_in_case_and_spaces_add_up():
    listed = {"Yes": -1.0, " yes": -2.0, "YES.": -3.0, "n": -1.5, "\n": -0.1, "nope": -4.0}
    found = scores_from_tokens(listed, {"yes": "yes", "no": "no"})["scores"]
    assert found == pytest.approx([np.log(np.exp(-1) + np.exp(-2) + np.exp(-3)), -1.5])


def test_options_that_begin_alike():
    options = {"very good": "very good", "very bad": "very bad"}
    with pytest.raises(ValueError, match=r"`options` must begin with different tokens. Got 0.37 of the probability"):
        scores_from_tokens({"very": -1.0, "good": -2.0}, options)


@pytest.mark.parametrize("reply", ["yes", " Yes.", "**YES**", '"yes"', "yes\n"])
def test_replies_that_are_an_option(reply):
    assert answer_from_reply(reply, {"no": "no", "yes": "yes"}, False)["answer"] == 1


@pytest.mark.parametrize("reply", ["yes and no", "yesterday", "", "y", "no, it broke"])
def test_replies_that_are_not(reply):
    assert answer_from_reply(reply, {"no": "no", "yes": "yes"}, False) == {"answer": None, "reply": reply}


def test_frequencies_of_draws():
    results = [[{"answer": o, "reply": ""} for o in draws] for draws in ([0, 0, 1], [2, 2, 2])]
    found = np.exp(combined(results, OPTIONS, pseudocount=0.5, incomplete="raise"))
    assert found == pytest.approx(np.array([[2.5, 1.5, 0.5], [0.5, 0.5, 3.5]]) / 4.5)
    assert combined([], OPTIONS, 0.5, "raise").shape == (0, 3)


def test_estimate_bounds_what_is_sent(server):
    model = fast(server, method="sample", draws=3)
    texts = ["it broke", "käse 🙂"]
    estimate = model.estimate(texts, ["does it last"], OPTIONS, price=(2.0, 10.0))
    model.score(texts, ["does it last"], OPTIONS)
    sizes = [len(body["messages"][0]["content"].encode()) for body in server.bodies]
    assert estimate.calls == len(sizes) == 6
    assert estimate.tokens_in == sum(math.ceil(size / 4) + 8 for size in sizes)
    assert estimate.tokens_in_at_most == sum(sizes) + 96
    assert estimate.tokens_out_at_most == 6 * server.bodies[0]["max_tokens"]
    assert estimate.cost == pytest.approx((2 * estimate.tokens_in + 10 * 96) / 1e6)
    assert model.estimate(texts, ["q"], OPTIONS).cost is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "guess"}, r"`method` must be one of"),
        ({"incomplete": "ignore"}, r"`incomplete` must be one of"),
        ({"draws": 0, "method": "sample"}, r"`draws` must be a whole number at least 1"),
        ({"draws": 0}, r"`draws` must be a whole number at least 1"),
        ({"concurrency": 0}, r"`concurrency` must be"),
        ({"timeout": 0}, r"`timeout` must be a number"),
        ({"temperature": -1}, r"`temperature` must be"),
        ({"pseudocount": -1}, r"`pseudocount` must be"),
        ({"extra": {"n": 5, "model": "x"}}, r"`extra` must not hold what has its own argument.*\['model', 'n'\]"),
        ({"extra": {"seed": 1}, "method": "sample"}, r"`extra` must not hold a seed when answers are drawn"),
        ({"prompt": "{question}"}, r"`prompt` must hold \{text\} and \{question\}"),
    ],
)
def test_arguments_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        chat("m", "http://127.0.0.1:9/v1", **changes)


def test_other_names_and_fields_go_along(server):
    extra = {"max_completion_tokens": 5, "reasoning_effort": "low"}
    fast(server, extra=extra, temperature=None).score(["a"], ["b"], OPTIONS)
    assert {"max_tokens", "temperature"} & server.bodies[0].keys() == set()
    assert {name: server.bodies[0][name] for name in extra} == extra
    assert re.search("reasoning_effort", json.dumps(fast(server, extra=extra).parameters))
