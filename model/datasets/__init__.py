"""COCO-style data sets: what their files say, and what in them would hurt."""
