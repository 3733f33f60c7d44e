"""A small part of PromQL over computed series. What it does not know it refuses: nothing is
invented.
"""
