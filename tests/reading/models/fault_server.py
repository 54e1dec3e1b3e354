"""A server that answers by a script: what each prompt meets, in turn, before it gets a good reply."""

import json
import math
import socket
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = [("yes", math.log(0.7)), (" No", math.log(0.1)), ("no", math.log(0.1)), ("un", math.log(0.06))]


class FaultServer:
    """`script[question]` lists faults, one for each request; questions without one get a good reply at once.

    `asked` and `answered` count requests and whole good replies by prompt. Requests wait while `open_gate` is unset,
    once `close_after` replies are out.
    """

    def __init__(self, close_after: float = math.inf):
        self.script: dict[str, list] = defaultdict(list)
        self.asked, self.answered = Counter(), Counter()
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict] = []
        self.content, self.logprobs, self.model, self.tokens = "yes", GOOD, None, 1
        self.close_after, self.open_gate, self.waiting = close_after, threading.Event(), 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                outer.handle(self)

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # clients that are killed or lose patience

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.open_gate.set()
        self.http.shutdown()
        self.http.server_close()

    def handle(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        with self.lock:
            self.asked[prompt] += 1
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.bodies.append(body)
            steps = next((steps for question, steps in self.script.items() if question in prompt), [])
            fault = steps.pop(0) if steps else None
            held = self.answered.total() >= self.close_after and not self.open_gate.is_set()
            self.waiting += held
            if not held and fault is None:
                self.answered[prompt] += 1
        if held:
            self.open_gate.wait(60)
            request.connection.shutdown(socket.SHUT_RDWR)  # whoever asked is dead by now
            return
        self.reply(request, body, fault)

    def good(self, body) -> dict:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.content}}
        if body.get("logprobs") and self.logprobs:
            top = [{"token": token, "logprob": value} for token, value in self.logprobs]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        usage = {"prompt_tokens": 11, "completion_tokens": self.tokens, "total_tokens": 11 + self.tokens}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": self.model or body["model"]}
        return {**reply, "choices": [choice], "usage": usage}

    def reply(self, request, body, fault):
        status, extra, data = 200, {}, json.dumps(self.good(body)).encode()
        length = len(data)
        if isinstance(fault, int):
            key = request.headers["Authorization"]
            status, data = fault, json.dumps({"error": {"message": f"fault {fault} for {key}"}}).encode()
            length = len(data)
        elif isinstance(fault, tuple):
            status, extra, data = fault[0], {"Retry-After": str(fault[1])}, b"{}"
            length = len(data)
        elif fault == "slow":
            self.open_gate.wait(10)
        elif fault == "truncated":
            data = data[: len(data) // 2]
            length = len(data)
        elif fault == "cut":
            data = data[: len(data) // 2]
        elif isinstance(fault, bytes):
            data, length = fault, len(fault)
        elif fault == "refuse":
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        request.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **extra}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)
        request.wfile.flush()
        if fault == "cut":
            request.connection.shutdown(socket.SHUT_RDWR)
