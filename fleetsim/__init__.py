"""A fleet of simulated Kubernetes API servers in one process.

The portal meets it over HTTPS only: nothing here may import the portal, and the portal may not
import this.
"""
