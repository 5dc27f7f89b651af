"""What `bench/publish.py` is made of."""
