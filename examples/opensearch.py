"""A trained model in OpenSearch. Not run by the tests: it needs a server.

pip install opensearch-py
python examples/opensearch.py runs/demo/model "гра в шахи" http://localhost:9200
"""

import sys

from opensearchpy import OpenSearch, helpers
from sentence_transformers import SentenceTransformer

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]
METRICS = {"cosine": "cosinesimil", "dot": "innerproduct", "euclidean": "l2"}

model = SentenceTransformer(sys.argv[1])
method = {"name": "hnsw", "engine": "lucene", "space_type": METRICS[model.similarity_fn_name]}
vector = {"type": "knn_vector", "dimension": model.get_embedding_dimension(), "method": method}
client = OpenSearch(sys.argv[3])
mappings = {"properties": {"text": {"type": "text"}, "vector": vector}}
client.indices.create(index="passages", body={"settings": {"index.knn": True}, "mappings": mappings})
rows = zip(PASSAGES, model.encode_document(PASSAGES).tolist(), strict=True)
helpers.bulk(client, [{"_index": "passages", "text": text, "vector": vector} for text, vector in rows], refresh=True)

knn = {"vector": {"vector": model.encode_query(sys.argv[2]).tolist(), "k": 3}}
for hit in client.search(index="passages", body={"size": 3, "query": {"knn": knn}})["hits"]["hits"]:
    print(f"{hit['_score']:.3f} {hit['_source']['text']}")
