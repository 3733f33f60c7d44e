"""The demonstration: a whole portal with a simulated fleet, started by one command."""
