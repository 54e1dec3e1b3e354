"""Scores of `hub` against one prompt per option, read alone and without a cache; what it refuses and why."""

import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from reading.models import tiny, tiny_gguf

from llma_tutorial.reading.models import hub, prefix_tree
from llma_tutorial.reading.models.prefix_tree import continuation_scores

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:The options hold only"),  # these models have random weights
]


def one_by_one(model, texts, questions, options) -> np.ndarray:
    """log P(option) from the tokens of the whole string, one forward pass for each text, question and option."""
    found = np.empty((len(texts), len(questions), len(options)))
    for t, text in enumerate(texts):
        for q, question in enumerate(questions):
            prompt = model.prompt.format(text=text, question=question, options=", ".join(options))
            if model.chat_template:
                prompt = "<s>" + prompt
            n = len(model.tokenizer(prompt, add_special_tokens=not model.chat_template)["input_ids"])
            for o, option in enumerate(options):
                string = prompt + model.answer.format(option=option)
                ids = model.tokenizer(string, add_special_tokens=not model.chat_template)["input_ids"]
                with torch.inference_mode():
                    logits = model.network(torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)
                steps = [logits[i - 1, ids[i]].item() for i in range(n, len(ids))]
                found[t, q, o] = np.sum(steps) if model.length == "sum" else np.mean(steps)
    return found - np.logaddexp.reduce(found, axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bloom", "mistral", "mamba", "mamba2", "recurrent_gemma"])
def test_scores_are_those_of_one_prompt_per_option(folder, kind):
    model = hub(folder(kind), chat_template=False, batch_tokens=300)
    expected = one_by_one(model, tiny.TEXTS, tiny.QUESTIONS, tiny.OPTIONS)
    # Mamba drops its state when several tokens follow; RecurrentGemma keeps it where nobody can copy it.
    assert model.shares_beginnings == (kind not in ("mamba", "recurrent_gemma"))
    assert model.score(tiny.TEXTS, tiny.QUESTIONS, tiny.OPTIONS) == pytest.approx(expected, abs=2e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3  # answers that differ, so that a mix-up would show


@pytest.mark.parametrize("length", ["sum", "mean"])
@pytest.mark.parametrize("options", [["yes", "no"], tiny.OPTIONS, ["no", "not", "no way"], ["unsaid", "hard to say"]])
def test_every_choice_of_options_and_length(folder, length, options):
    model = hub(folder("llama"), length=length, chat_template=False)
    expected = one_by_one(model, tiny.TEXTS[:3], tiny.QUESTIONS, options)
    found = model.score(tiny.TEXTS[:3], tiny.QUESTIONS, options)
    assert found == pytest.approx(expected, abs=2e-5)
    assert np.exp(found).sum(axis=-1) == pytest.approx(np.ones((3, len(tiny.QUESTIONS))))


def test_chat_template_and_own_wording(folder):
    model = hub(folder("llama"), prompt="{text}<ask>{question}", answer="<{option}>")
    assert model.chat_template
    found = model.score(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no", "unsaid"])
    assert found == pytest.approx(one_by_one(model, tiny.TEXTS, tiny.QUESTIONS, ["yes", "no", "unsaid"]), abs=2e-5)
    # By hand: <s> text <ask> question, then the next token.
    words = model.tokenizer
    ids = [words.bos_token_id, *words.encode(tiny.TEXTS[0], add_special_tokens=False)]
    ids += [words.convert_tokens_to_ids("<ask>"), *words.encode(tiny.QUESTIONS[0], add_special_tokens=False)]
    with torch.inference_mode():
        logits = model.network(torch.tensor([ids])).logits[0, -1]
    answers = logits[words.convert_tokens_to_ids(["<yes>", "<no>", "<unsaid>"])].log_softmax(-1).numpy()
    assert found[0, 0] == pytest.approx(answers, abs=2e-5)


def test_batch_size_order_and_company_change_nothing(folder):
    whole = hub(folder("gpt2"), chat_template=False)
    expected = whole.score(tiny.TEXTS, tiny.QUESTIONS, tiny.OPTIONS)
    small = hub(folder("gpt2"), chat_template=False, batch_tokens=1)
    assert small.score(tiny.TEXTS, tiny.QUESTIONS, tiny.OPTIONS) == pytest.approx(expected, abs=2e-5)
    backwards = whole.score(tiny.TEXTS[::-1], tiny.QUESTIONS[::-1], tiny.OPTIONS[::-1])
    assert backwards[::-1, ::-1, ::-1] == pytest.approx(expected, abs=2e-5)
    alone = [whole.score([text], [q], tiny.OPTIONS)[0, 0] for text in tiny.TEXTS for q in tiny.QUESTIONS]
    assert np.reshape(alone, expected.shape) == pytest.approx(expected, abs=2e-5)
    assert whole.score([], tiny.QUESTIONS, tiny.OPTIONS).shape == (0, 3, 4)


def counted(model, **changes) -> int:
    """Tokens that the network reads for one request."""
    read = []
    handle = model.network.register_forward_pre_hook(
        lambda _, given, kwargs: read.append(given[0].numel()), with_kwargs=True
    )
    model.score([text * 9 for text in tiny.TEXTS], tiny.QUESTIONS, ["yes", "no", "unsaid"])
    handle.remove()
    return sum(read)


def test_what_prompts_share_is_read_once(folder):
    model = hub(folder("llama"), chat_template=False)
    shared = counted(model)
    object.__setattr__(model, "shares_beginnings", False)
    apart = counted(model)
    whole = [
        len(model.tokenizer(model.prompt.format(text=text * 9, question=q) + f" {option}")["input_ids"]) - 1
        for text in tiny.TEXTS
        for q in tiny.QUESTIONS
        for option in ["yes", "no", "unsaid"]
    ]
    assert shared < 0.5 * apart < 0.5 * sum(whole)


def test_longest_rows_come_first(folder):
    """Memory that does not suffice is missed at once, not after an hour."""
    model = hub(folder("llama"), chat_template=False, batch_tokens=200)
    sizes = []
    handle = model.network.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[1]))
    object.__setattr__(model, "shares_beginnings", False)
    model.score(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no"])
    handle.remove()
    assert len(sizes) > 3
    assert sizes == sorted(sizes, reverse=True)


def test_a_cache_that_forgets_is_not_trusted(folder, monkeypatch):
    """Planted fault: an architecture whose cache is dropped on the way."""
    kept = prefix_tree.read_on
    monkeypatch.setattr(prefix_tree, "read_on", lambda network, tokens, past, rows, **o: network(tokens, **o))
    model = hub(folder("llama"), chat_template=False)
    assert not model.shares_beginnings
    monkeypatch.setattr(prefix_tree, "read_on", kept)
    expected = one_by_one(model, tiny.TEXTS[:2], tiny.QUESTIONS, tiny.OPTIONS)
    assert model.score(tiny.TEXTS[:2], tiny.QUESTIONS, tiny.OPTIONS) == pytest.approx(expected, abs=2e-5)


def test_stems_are_read_once():
    """Options a b, a b c and d: one row, from which all three are read."""
    calls = []

    class Network:
        device = torch.device("cpu")

        class config:
            @staticmethod
            def get_text_config():
                return Network.config

            vocab_size = 5

        def forward(self, tokens):
            raise NotImplementedError

        def __call__(self, tokens, **_):
            calls.append(tokens.tolist())
            logits = torch.nn.functional.one_hot((tokens + 1) % 5, 5).float()
            return type("Output", (), {"logits": logits})

    found = continuation_scores(Network(), [[0]], [[[1, 2], [1, 2, 3], [4]]], shared=False, batch_tokens=100)
    likely, unlikely = 1 - np.log(np.e + 4), -np.log(np.e + 4)
    assert calls == [[[0, 1, 2]]]
    assert found == pytest.approx(np.array([[2 * likely, 3 * likely, unlikely]]), abs=1e-6)


def test_half_precision_is_close_and_says_so(folder):
    model = hub(folder("llama"), dtype="bfloat16", chat_template=False)
    assert model.parameters["dtype"] == "bfloat16"
    exact = hub(folder("llama"), chat_template=False).score(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no"])
    assert model.score(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no"]) == pytest.approx(exact, abs=0.1)


def test_parameters_tell_weights_and_wording_apart(folder, tmp_path):
    model = hub(folder("llama"))
    assert json.dumps(model.parameters)
    assert model.parameters == hub(shutil.copytree(folder("llama"), tmp_path / "moved")).parameters
    assert model.parameters != hub(folder("llama"), answer=" {option}").parameters
    other = tiny.save(tmp_path / "other", "llama", spread=0.4)
    assert model.parameters["weights"] != hub(other).parameters["weights"]


# --- Examples, and what the options hold ------------------------------------------------------------------------------

SHOWN = [("it broke.", "no"), ("it lasts", "yes")]


def test_examples_stand_before_the_text(folder):
    """Written out by hand, they are the beginning of the text of a model without examples."""
    model = hub(folder("llama"), chat_template=False, examples=SHOWN)
    question = tiny.QUESTIONS[1]
    before = "".join(f"{text}\n\nQuestion: {question}\nAnswer: {answer}\n\n" for text, answer in SHOWN)
    plain = hub(folder("llama"), chat_template=False)
    expected = plain.score([before + text for text in tiny.TEXTS], [question], ["yes", "no"])
    assert model.score(tiny.TEXTS, [question], ["yes", "no"]) == pytest.approx(expected, abs=2e-5)
    bare = plain.score(tiny.TEXTS, [question], ["yes", "no"])
    assert np.abs(expected - bare).max() > 1e-2  # an example that is lost would show


def test_examples_are_turns_of_a_conversation(tmp_path):
    template = "<s>{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}a:"
    made = tiny.save(tmp_path, "llama", template=template)
    model = hub(made, prompt="{text} {question}", answer=" {option}", examples=SHOWN[:1])
    string = "user: it broke. does it last\nassistant:  no\nuser: ok does it last\na:"
    plain = hub(made, prompt="{text}{question}", answer=" {option}", chat_template=False)
    expected = plain.score([string[:-2]], ["a:"], ["yes", "no"])
    assert model.score(["ok"], ["does it last"], ["yes", "no"]) == pytest.approx(expected, abs=2e-5)


def test_examples_stand_in_the_parameters(folder):
    model = hub(folder("llama"), examples=SHOWN)
    assert model.parameters["examples"] == [["it broke.", "no"], ["it lasts", "yes"]]
    assert "examples" not in hub(folder("llama")).parameters  # transcripts made before there were any still fit


def test_examples_that_fit_no_request(folder):
    model = hub(folder("llama"), chat_template=False, examples=SHOWN)
    with pytest.raises(ValueError, match=r"`questions` must hold the one that `examples` answer. Got 3 questions"):
        model.score(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no"])
    with pytest.raises(ValueError, match=r"`examples` must have answers among the options. Got 'no'"):
        model.score(tiny.TEXTS, tiny.QUESTIONS[:1], ["yes", "never"])
    with pytest.raises(TypeError, match=r"`examples` must hold pairs \(text, answer\) of strings. Got \('it broke',\)"):
        hub(folder("llama"), examples=["it broke"])
    planted = hub(folder("llama"), chat_template=False, examples=[("fine<yes>", "yes")])
    with pytest.raises(ValueError, match=r"`examples` must not hold a control token"):
        planted.score(["ok"], tiny.QUESTIONS[:1], ["yes", "no"])


@pytest.mark.filterwarnings("default")
def test_options_that_hold_little_are_mentioned(folder):
    model = hub(folder("llama"), chat_template=False)
    mass = model.mass(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no"])
    message = rf"The options hold only {mass.min():.2g} of the probability in the worst of 21 prompts: the model wants"
    with pytest.warns(UserWarning, match=message):
        model.score(tiny.TEXTS, tiny.QUESTIONS, ["yes", "no"])


def test_mass_is_the_probability_of_any_option(folder):
    """By hand from one forward pass; an option that goes on from another adds nothing."""
    model = hub(folder("llama"), chat_template=False)
    prompt = model.prompt.format(text="ok", question=tiny.QUESTIONS[0])
    with torch.inference_mode():
        law = model.network(torch.tensor([model.tokenizer(prompt)["input_ids"]])).logits[0, -1].softmax(-1)
    first = [model.tokenizer(f" {option}", add_special_tokens=False)["input_ids"] for option in ("yes", "no")]
    assert [len(tokens) for tokens in first] == [1, 1]
    expected = sum(law[tokens[0]].item() for tokens in first)
    assert model.mass(["ok"], tiny.QUESTIONS[:1], ["yes", "no"]) == pytest.approx(np.array([[expected]]), rel=1e-4)
    assert model.mass(["ok"], tiny.QUESTIONS[:1], ["yes", "no", "no way"]) == pytest.approx(expected, rel=1e-4)


# --- GGUF -----------------------------------------------------------------------------------------------------------


def test_a_folder_or_a_file_of_gguf_weights(tmp_path):
    tiny_gguf.save(tmp_path / "a.gguf")
    model = hub(tmp_path, chat_template=False)
    found = model.score(tiny.TEXTS[:3], tiny.QUESTIONS, tiny.OPTIONS)
    assert found == pytest.approx(one_by_one(model, tiny.TEXTS[:3], tiny.QUESTIONS, tiny.OPTIONS), abs=1e-4)
    assert model.shares_beginnings
    by_file = hub(tmp_path / "a.gguf", chat_template=False)
    assert (model.name, by_file.name) == (tmp_path.name, "a.gguf")
    assert by_file.parameters == model.parameters
    shutil.copy(tmp_path / "a.gguf", tmp_path / "b.gguf")
    with pytest.raises(
        ValueError, match=r"must name one of several GGUF files. Got a folder with \['a.gguf', 'b.gguf'\]"
    ):
        hub(tmp_path)
    assert hub(tmp_path / "b.gguf", chat_template=False).parameters == model.parameters


def test_a_file_that_is_no_gguf(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"must be a folder, or a file that ends in .gguf. Got '.*model.bin'"):
        hub(tmp_path / "model.bin")
    (tmp_path / "model.gguf").write_bytes(b"GGUX" + bytes(60))
    with pytest.raises(ValueError, match=r"`name_or_folder` must hold a whole causal model"):
        hub(tmp_path / "model.gguf")


# --- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": "median"}, r"`length` must be one of \"sum\", \"mean\". Got 'median'"),
        ({"dtype": "int8"}, r"`dtype` must be one of .* Got 'int8'"),
        ({"batch_tokens": 0}, r"`batch_tokens` must be a whole number at least 1. Got 0"),
        ({"revision": "main"}, r"`revision` must be left out for files on this machine. Got 'main'"),
        ({"prompt": ""}, r"`prompt` must hold \{text\} and \{question\}. Got ''"),
        ({"prompt": "{text}"}, r"`prompt` must hold \{text\} and \{question\}. Got '\{text\}'"),
        ({"prompt": "{text} {question} {x}"}, r"`prompt` must hold"),
        ({"prompt": "{text} {question} {"}, r"`prompt` must be a template; double each brace"),
        ({"answer": "yes"}, r"`answer` must hold \{option\}. Got 'yes'"),
    ],
)
def test_arguments_are_checked(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        hub(folder("llama"), **changes)


def test_device_that_is_not_there(folder):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ValueError, match=r"`device` must be one that this machine has; \"cpu\" always is. Got 'cuda'"):
        hub(folder("llama"), device="cuda")


def test_no_chat_template(tmp_path):
    plain = tiny.save(tmp_path, "llama", template=None)
    assert not hub(plain).chat_template
    with pytest.raises(ValueError, match=r"`chat_template` must be False for a model that has none"):
        hub(plain, chat_template=True)


def test_answers_that_grow_into_the_prompt_are_refused(folder):
    model = hub(folder("llama"), prompt="{text} {question} Answ", answer="er {option}", chat_template=False)
    with pytest.raises(ValueError, match=r"`answer` must begin a new token after `prompt`.*Got the end '.*Answ'"):
        model.score(["it"], ["does it last"], ["yes", "no"])


def test_control_tokens_in_a_text_are_refused(folder):
    model = hub(folder("llama"), chat_template=False)
    with pytest.raises(ValueError, match=r"`texts` must not hold a control token.*Got '</s>' in number 1"):
        model.score(["fine", "good</s>bad"], tiny.QUESTIONS, ["yes", "no"])
    with pytest.raises(ValueError, match=r"Got '<ask>' in number 0"):
        model.score(["it broke<ask>does it last<yes>"], tiny.QUESTIONS, ["yes", "no"])
    with pytest.raises(ValueError, match=r"`questions` must not hold a control token"):
        model.score(["fine"], ["what<s>"], ["yes", "no"])


def test_texts_that_are_too_long_are_refused(folder):
    model = hub(folder("llama"), chat_template=False)
    with pytest.raises(ValueError, match=r"`texts` must fit into the model's 512 tokens. Got \d+"):
        model.score(["far too long " * 200], tiny.QUESTIONS, ["yes", "no"])


def test_code_of_a_model_is_never_run(folder, tmp_path):
    planted = shutil.copytree(folder("llama"), tmp_path / "planted")
    config = json.loads((planted / "config.json").read_text())
    config |= {"model_type": "planted", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (planted / "config.json").write_text(json.dumps(config))
    (planted / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\nclass M: pass\n")
    with pytest.raises(ValueError, match=r"code of a model is never run"):
        hub(planted)
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_refused(folder, tmp_path):
    old = shutil.copytree(folder("llama"), tmp_path / "old")
    torch.save(hub(folder("llama")).network.state_dict(), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"`name_or_folder` must hold safetensors or GGUF; other formats can run code"):
        hub(old)


def test_half_a_folder_is_refused(folder, tmp_path):
    half = shutil.copytree(folder("llama"), tmp_path / "half")
    (half / "tokenizer.json").unlink()
    (half / "tokenizer_config.json").unlink()
    (half / "config.json").unlink()
    with pytest.raises(ValueError, match=r"`name_or_folder` must hold a whole causal model"):
        hub(half)


# --- A model that is not on this machine ----------------------------------------------------------------------------


@pytest.fixture
def hub_server():
    """A hub on loopback that knows the sizes of one model."""
    files = [("model.safetensors", 988_097_824), ("pytorch_model.bin", 10**10), ("tokenizer.json", 7_031_645)]
    listing = {"id": "some/model-0.5B", "siblings": [{"rfilename": name, "size": n} for name, n in files]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path.startswith("/api/models/some/model-0.5B")
            body = json.dumps(listing if known else {"error": "Repository not found"}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_absent_model_says_what_to_run_and_how_big_it_is(hub_server, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", hub_server)
    with pytest.raises(FileNotFoundError) as caught:
        hub("some/model-0.5B")
    message = str(caught.value)
    assert "Got 'some/model-0.5B', 1.00 GB." in message  # 0.988 GB of safetensors and 7 MB of tokenizer
    assert 'hf download some/model-0.5B --include "*.safetensors" --include "*.json"' in message
    assert "download=True" in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nobody/has-this-7b-model", "about 14.00 GB in half precision by its name"),
        ("nobody/tiny-135M", "about 0.27 GB in half precision by its name"),
        ("nobody/has-this", "of unknown size"),
    ],
)
def test_absent_model_offline_is_sized_by_its_name(monkeypatch, name, expected):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(FileNotFoundError, match=rf"Got '{name}', {expected} \(the hub cannot be asked\)"):
        hub(name, revision="abc")


def test_model_that_the_hub_does_not_know(hub_server, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", hub_server)
    with pytest.raises(FileNotFoundError, match=r"of unknown size \(the hub knows no such model\)"):
        hub("nobody/has-this")


@pytest.mark.parametrize("name", ["/no/such/folder", "./folder", "no/such/folder/at-all"])
def test_folder_that_is_not_there(name):
    with pytest.raises(FileNotFoundError, match=rf"must be a folder with a model, or a name on the hub. Got '{name}'"):
        hub(name)
