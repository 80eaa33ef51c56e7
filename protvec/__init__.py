"""protvec: a vector database of proteins."""

__version__ = "0.1.0"
