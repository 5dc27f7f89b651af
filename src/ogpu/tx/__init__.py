"""Transactions: what a node's reply means and fees (pure), keys, and the manager that sends."""
