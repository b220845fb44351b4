"""An answer in the shapes of other tools, each made of our own JSON."""
