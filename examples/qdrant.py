"""A trained model in Qdrant; here in memory, for a server write QdrantClient("http://localhost:6333").

pip install qdrant-client
python examples/qdrant.py runs/demo/model "гра в шахи"
"""

import sys

from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams
from sentence_transformers import SentenceTransformer

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]
METRICS = {"cosine": Distance.COSINE, "dot": Distance.DOT, "euclidean": Distance.EUCLID}

model = SentenceTransformer(sys.argv[1])
size, distance = model.get_embedding_dimension(), METRICS[model.similarity_fn_name]
client = QdrantClient(":memory:")
client.create_collection("passages", vectors_config=VectorParams(size=size, distance=distance))
vectors = model.encode_document(PASSAGES)
client.upload_collection("passages", vectors=vectors, payload=[{"text": text} for text in PASSAGES])

for point in client.query_points("passages", query=model.encode_query(sys.argv[2]).tolist(), limit=3).points:
    print(f"{point.score:.3f} {point.payload['text']}")
