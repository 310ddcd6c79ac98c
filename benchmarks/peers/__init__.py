"""The systems that are compared: one small file each, all with the interface of peer.py."""
