"""Groups of images that look alike: PCA and k-means."""
