"""Measurements of Skyrig beside its peers: `invoke bench`, or `python -m bench.launch`. Figures go to bench/results."""
