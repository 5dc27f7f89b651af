"""JSON-RPC with batches and failover (`transport`), and the pure encoding of calls (`codec`)."""
