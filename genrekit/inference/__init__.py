"""Predictions of a trained model for audio files and waveforms, ONNX export and genre tags."""
