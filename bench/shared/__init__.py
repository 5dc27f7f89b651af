"""What more than one benchmark is made of, and tests use too."""
