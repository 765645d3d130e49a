"""Why a network gives an image a label: which images to explain, how, and pictures of it for pages."""
