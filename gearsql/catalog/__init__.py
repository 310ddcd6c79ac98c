"""Tables, key templates and types; kept in the cluster itself, inferred by sampling."""
