"""Runs llama.cpp's OpenAI-compatible server: serve.py MODEL PORT."""

import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[2])
params.n_ctx = 8192
params.n_parallel = 4
params.n_gpu_layers = 0
params.use_jinja = True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.pause()
