"""Pages of clusters: the list, one cluster, joining, and what an operator may do to one."""
