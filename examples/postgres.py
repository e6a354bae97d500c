"""A trained model in PostgreSQL with pgvector; the distance is shown. Not run by the tests: it needs a server.

pip install "psycopg[binary]" pgvector
python examples/postgres.py runs/demo/model "гра в шахи" postgresql://localhost/search
"""

import sys

import psycopg
from pgvector.psycopg import register_vector
from sentence_transformers import SentenceTransformer

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]
METRICS = {"cosine": ("vector_cosine_ops", "<=>"), "dot": ("vector_ip_ops", "<#>")}

model = SentenceTransformer(sys.argv[1])
size, (operators, distance) = model.get_embedding_dimension(), METRICS[model.similarity_fn_name]
with psycopg.connect(sys.argv[3], autocommit=True) as connection:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    connection.execute(f"CREATE TABLE passages (id bigserial PRIMARY KEY, text text, vector vector({size}))")
    rows = zip(PASSAGES, model.encode_document(PASSAGES), strict=True)
    connection.cursor().executemany("INSERT INTO passages (text, vector) VALUES (%s, %s)", rows)
    connection.execute(f"CREATE INDEX ON passages USING hnsw (vector {operators})")

    nearest = f"SELECT text, vector {distance} %s AS distance FROM passages ORDER BY distance LIMIT 3"
    for text, apart in connection.execute(nearest, [model.encode_query(sys.argv[2])]):
        print(f"{apart:.3f} {text}")
