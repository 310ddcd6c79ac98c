"""The version of the package and of the module built with it; stages of other versions are refused."""

VERSION = "0.1.0"
