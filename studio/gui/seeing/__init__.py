"""Pictures: the viewer, masks, trajectories, the history and comparisons."""
