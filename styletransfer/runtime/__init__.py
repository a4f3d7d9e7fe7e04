"""Running style files with onnxruntime; needs neither torch nor onnx."""
