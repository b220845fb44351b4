"""The network, in the paper's words."""
