"""What a hook may ask and say: `from gearsql import hook` in a function's source."""
