"""The HTTP face of the fleet: API paths of every cluster, and the control plane of the simulator
under /_sim.
"""
