"""What the tests share: classes, values, random graphs, and runs of two picklers side by side."""
