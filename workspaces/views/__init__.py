"""Pages of the workspaces app. A view reads its input, asks one service or selector, renders."""
