"""What the notebooks measure of the method itself: covariance, changes of an image, textures."""
