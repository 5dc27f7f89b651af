"""What `bench/read.py` is made of."""
