"""Work given to the network: published, waited for, paid, tried again; one piece, many, or an executor's."""
