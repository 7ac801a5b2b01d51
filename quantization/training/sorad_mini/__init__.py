"""sorad-mini: the rendered world, and the training of the small model that ships with sorad."""
