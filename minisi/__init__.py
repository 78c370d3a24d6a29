"""A language model that learns from its own mistakes."""

import os

# OpenMP's threads spin while they wait for each other: on a core that is busy they would wait for
# the next turn of whoever has it.  Torch reads this when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "500")

# oneDNN keeps a program for each size of product that it met; a quarter of its default is enough.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
