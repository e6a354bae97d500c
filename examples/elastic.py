"""A trained model in Elasticsearch. Not run by the tests: it needs a server.

pip install elasticsearch
python examples/elastic.py runs/demo/model "гра в шахи" http://localhost:9200
"""

import sys

from elasticsearch import Elasticsearch, helpers
from sentence_transformers import SentenceTransformer

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]
METRICS = {"cosine": "cosine", "dot": "max_inner_product", "euclidean": "l2_norm"}

model = SentenceTransformer(sys.argv[1])
vector = {
    "type": "dense_vector",
    "dims": model.get_embedding_dimension(),
    "index": True,
    "similarity": METRICS[model.similarity_fn_name],
}
client = Elasticsearch(sys.argv[3])
client.indices.create(index="passages", mappings={"properties": {"text": {"type": "text"}, "vector": vector}})
rows = zip(PASSAGES, model.encode_document(PASSAGES).tolist(), strict=True)
helpers.bulk(client, [{"_index": "passages", "text": text, "vector": vector} for text, vector in rows], refresh=True)

query = model.encode_query(sys.argv[2]).tolist()
knn = {"field": "vector", "query_vector": query, "k": 3, "num_candidates": 100}
for hit in client.search(index="passages", knn=knn, size=3)["hits"]["hits"]:
    print(f"{hit['_score']:.3f} {hit['_source']['text']}")
