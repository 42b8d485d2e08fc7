"""Chat clients behind one batch-first protocol: the embedded teacher, an endpoint, our own checkpoint, and a cache."""
