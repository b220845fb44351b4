"""Any weights file to the tensors of our network, safely."""
