"""A trained model in LlamaIndex; any other vector store takes the same embeddings.

pip install llama-index-core llama-index-embeddings-huggingface
python examples/llama_index_store.py runs/demo/model "гра в шахи"
"""

import sys

from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from sentence_transformers import SentenceTransformer

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]

# LlamaIndex's own store takes the cosine. Left alone it would put in prompts of its own for models that it knows.
model = SentenceTransformer(sys.argv[1])
assert model.similarity_fn_name == "cosine"
embeddings = HuggingFaceEmbedding(
    model_name=sys.argv[1],
    query_instruction=model.prompts.get("query", ""),
    text_instruction=model.prompts.get("document", ""),
)
index = VectorStoreIndex.from_documents([Document(text=text) for text in PASSAGES], embed_model=embeddings)

for node in index.as_retriever(similarity_top_k=3).retrieve(sys.argv[2]):
    print(f"{node.score:.3f} {node.text}")
