"""BlendMask: the network, its checkpoints and prediction."""
