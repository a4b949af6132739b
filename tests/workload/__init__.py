"""A workload that writes into a database and a data directory as ownCloud 10 does."""
