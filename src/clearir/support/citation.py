"""What to cite."""

CITATION = """
@inproceedings{lee2026clear,
    title = {{CLEAR}: Cross-Lingual Enhancement in Retrieval via Reverse-training},
    author = {Lee and Kim and Hong and Jang and Oh and Lim},
    booktitle = {Proceedings of the Annual Meeting of the Association for Computational Linguistics},
    year = {2026},
    pages = {347--362},
    eprint = {2604.05821},
    archivePrefix = {arXiv}
}
"""
