"""The parts of `ogpu.indexer.check`: one for each kind of table."""
