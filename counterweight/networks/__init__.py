"""Networks: backbones, classifiers, and running them on images."""
