"""A reward model of transformers in the shape of OpenRLHF's reward server: serve.py FOLDER.

POST /get_reward {"query": [text, ...]} gives {"rewards": [...], "scores": [...], "extra_logs": {}}, a text closed
by one end-of-sequence token as OpenRLHF closes it. Prints the port when it is ready. Needs torch and
transformers; the server itself is of the standard library.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], num_labels=1).float().eval()


@torch.no_grad()
def reward(text):
    eos = tokenizer.eos_token
    while text.endswith(eos):
        text = text[: -len(eos)]
    ids = tokenizer(text + eos, add_special_tokens=False, return_tensors="pt").input_ids
    return model(ids).logits.item()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/get_reward":
            return self.send_error(404)
        rewards = [reward(text) for text in body["query"]]
        reply = json.dumps({"rewards": rewards, "scores": rewards, "extra_logs": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
