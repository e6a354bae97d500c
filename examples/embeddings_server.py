"""A trained model behind text-embeddings-inference. Not run by the tests: it needs its container.

    docker run -p 8080:80 -v $PWD/runs/demo/model:/model ghcr.io/huggingface/text-embeddings-inference:cpu-latest \
        --model-id /model
    python examples/embeddings_server.py "гра в шахи"

The server reads dimension, pooling and prompts from the model's folder; its vectors have unit length.
"""

import json
import sys
from urllib.request import Request, urlopen

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]


def embed(texts: list[str]) -> list[list[float]]:
    body = json.dumps({"inputs": texts, "normalize": True}).encode()
    with urlopen(Request("http://localhost:8080/embed", body, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


[query] = embed(sys.argv[1:2])
scores = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in embed(PASSAGES)]
for score, text in sorted(zip(scores, PASSAGES, strict=True), reverse=True)[:3]:
    print(f"{score:.3f} {text}")
