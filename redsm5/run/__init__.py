"""What a run is: its folder, its config, and the commands that train and evaluate it."""
