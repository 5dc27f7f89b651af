"""The protocol's contracts as typed calls, and the decisions that go before them."""
