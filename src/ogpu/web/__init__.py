"""The management API and the page, over the index."""
