"""Side by side with its peers: how fast, how punctual and how dear the worker is. See README.md."""
