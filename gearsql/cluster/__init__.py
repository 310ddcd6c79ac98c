"""Topology, connections and dispatch: how stages reach the shards and frames come back."""
