"""Video files, cameras and windows (PyAV and OpenCV)."""
