"""Flow of the exchange's generator is found to predict if it was given an edge, and never if it wasn't.

The score here is the net premium of the last half hour's alerts, so that nothing of ours but the measuring is judged.
"""
