"""Audio files to tensors: decoding, fragments, features, augmentation."""
