"""What each kind of engine and exporter says at /metrics. Pure: text or arrays from load alone."""
