"""AdelaiDet's YAML and our configurations."""
