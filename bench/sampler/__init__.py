"""Put on PYTHONPATH of a server that is sampled."""
