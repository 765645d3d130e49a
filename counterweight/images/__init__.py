"""Images: sources, decoding, resizing, validation and perceptual hashes."""
