"""onepercent: what measures `hsilib` and its peers, and writes the report.

``import onepercent.recipes`` registers the peers' networks and recipes with `hsilib`.
"""
