"""What a training leaves on disk. Knows no models, no training and no data."""
