"""The merge stage: partial states of all shards → the answer."""
