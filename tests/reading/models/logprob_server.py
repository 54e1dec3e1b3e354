"""A server that speaks the chat protocol with log-probabilities. It imports nothing from the package.

python logprob_server.py FOLDER     prints its address and serves a causal model of transformers
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LOCK = threading.Lock()


def first_tokens(network, tokenizer, messages: list, k: int) -> list[dict]:
    """The `k` most likely tokens that a reply begins with."""
    string = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(string, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with LOCK, torch.inference_mode():
        values, places = network(ids).logits[0, -1].float().log_softmax(-1).topk(k)
    tokens = [tokenizer.decode([place]) for place in places.tolist()]
    return [{"token": token, "logprob": value} for token, value in zip(tokens, values.tolist(), strict=True)]


def serve(folder) -> ThreadingHTTPServer:
    """A server on a free port of loopback, not yet running."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            top = first_tokens(network, tokenizer, asked["messages"], asked.get("top_logprobs", 1))
            choice = {"index": 0, "finish_reason": "length"}
            choice["message"] = {"role": "assistant", "content": top[0]["token"]}
            if asked.get("logprobs"):
                choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            reply = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
            body = json.dumps({**reply, "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    server = serve(sys.argv[1])
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()
