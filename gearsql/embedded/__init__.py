"""Local servers and clusters with the module loaded: for tests, for `gearsql demo`, for connect() without a URL."""
