"""Why a network gives an image a label: which images to explain, how, and the pictures of it."""
