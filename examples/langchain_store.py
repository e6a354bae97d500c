"""A trained model in LangChain; any other vector store takes the same embeddings.

pip install langchain-core langchain-huggingface
python examples/langchain_store.py runs/demo/model "гра в шахи"
"""

import sys

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_huggingface import HuggingFaceEmbeddings
from sentence_transformers import SentenceTransformer

PASSAGES = ["plays chess against you", "encrypts a disk", "edits photos", "reads and sends mail"]

# LangChain's stores take the cosine, and prompts by name; "query" and "document" are empty where a model has none.
assert SentenceTransformer(sys.argv[1]).similarity_fn_name == "cosine"
embeddings = HuggingFaceEmbeddings(
    model_name=sys.argv[1],
    encode_kwargs={"prompt_name": "document", "normalize_embeddings": True},
    query_encode_kwargs={"prompt_name": "query", "normalize_embeddings": True},
)
store = InMemoryVectorStore.from_texts(PASSAGES, embeddings)

for document, score in store.similarity_search_with_score(sys.argv[2], k=3):
    print(f"{score:.3f} {document.page_content}")
