"""Shared by all families and private: it imports nothing of sparseopt but itself."""
