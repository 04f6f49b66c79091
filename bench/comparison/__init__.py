"""frugalblas against every CPU library that can be installed: what `bench/peers.py` is made of."""
