"""Pages of rollouts and approvals."""
