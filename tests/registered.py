"""The architectures that come with genrekit, by how they are trained."""

from genrekit.config import architecture, architecture_names

NETWORKS = tuple(name for name in architecture_names() if architecture(name).trained_by_gradient)
CLASSICAL = tuple(name for name in architecture_names() if not architecture(name).trained_by_gradient)
CONVOLUTIONAL = tuple(name for name in NETWORKS if architecture(name).channels is not None)
